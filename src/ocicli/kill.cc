// `kill` and `delete`.
#include <signal.h>

#include <array>
#include <cerrno>
#include <optional>

#include "ocicli/lifecycle.h"
#include "ocicli/signals.h"
#include "runtime/container.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

constexpr std::array kKillFlags{
    Flag{"all", 'a', FlagKind::kBool, "To every process of the container"},
};
constexpr std::array kDeleteFlags{
    Flag{"force", 'f', FlagKind::kBool,
         "Kill the container first; one that does not exist is no error"},
};

Error not_running() {
  return Error(ErrorKind::kConflict, "container not running");
}

// A frozen process of version 1 keeps even SIGKILL pending.
Result<void> thaw_to_die(const Record& record, Status status, int number) {
  if (number != SIGKILL || status != Status::kPaused) return {};
  return runtime::freeze_cgroup(record.cgroup.path, false);
}

Result<int> run_kill(Call& call) {
  TRY(ContainerDir dir, ContainerDir::open(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  std::string word = call.arguments().size() > 1 ? call.arguments()[1] : "TERM";
  std::optional<int> number = parse_signal(word);
  if (!number) return Error(ErrorKind::kInvalidArgument, "unknown signal \"" + word + "\"");
  TRY(Status status, dir.status(record));
  // Without a cgroup the others are not known; with the init their pid namespace ends.
  if (call.flags.boolean("all") && !record.cgroup.path.empty()) {
    // Also after the init: without a pid namespace of their own its children live on.
    TRY_VOID(runtime::signal_cgroup(record.cgroup, *number));
    TRY_VOID(thaw_to_die(record, status, *number));
    return 0;
  }
  if (status == Status::kStopped || status == Status::kCreating) return not_running();
  Result<sys::Fd> init = sys::open_process(record.pid, record.start_time);
  if (!init) return not_running();
  Result<void> sent = sys::signal_process(init->get(), *number);
  if (!sent && sent.error().errnum() == ESRCH)
    return Error(ErrorKind::kNotFound, "os: process already finished");
  TRY_VOID(sent);
  TRY_VOID(thaw_to_die(record, status, *number));
  return 0;
}

Result<int> run_delete(Call& call) {
  bool force = call.flags.boolean("force");
  TRY(std::optional<ContainerDir> dir, ContainerDir::lock_remains(call.globals.root, call.id()));
  if (!dir || !dir->has_record()) {
    if (!force) return Error(ErrorKind::kNotFound, "container does not exist");
    if (dir) TRY_VOID(dir->remove());
    return 0;
  }
  Result<Record> record = dir->read();
  if (!record) {
    // Nobody can tell what it was: by force at least its name becomes free.
    if (!force || record.error().kind() != ErrorKind::kCorrupt) return std::move(record.error());
    call.log.warn(record.error().message());
    TRY_VOID(dir->remove());
    return 0;
  }
  TRY(Status status, dir->status(*record));
  if (!force && (status == Status::kRunning || status == Status::kPaused))
    return Error(ErrorKind::kConflict,
                 "cannot delete container " + call.id() +
                     " that is not stopped: " + std::string(status_word(status)));
  TRY_VOID(destroy_container(*dir, *record, call.log));
  return 0;
}

}  // namespace

const CommandSpec kKill = {
    .name = "kill",
    .usage = "[OPTIONS] CONTAINER [SIGNAL]",
    .summary = "Send a signal (default: TERM) to the container's first process",
    .table = {kKillFlags},
    .min_arguments = 1,
    .max_arguments = 2,
    .run = run_kill,
};

const CommandSpec kDelete = {
    .name = "delete",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Remove a stopped container",
    .table = {kDeleteFlags},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_delete,
};

}  // namespace wherry::ocicli
