// `run`: create and start in one; in the foreground it stays until the program has ended.
#include <optional>

#include "ocicli/flag_tables.h"
#include "ocicli/foreground.h"
#include "ocicli/lifecycle.h"
#include "ocicli/notify.h"

namespace wherry::ocicli {
namespace {

Result<void> start(Created& created, const BundleRequest& request, bool detached) {
  sys::Fd notify;
  if (created.record.notify) {
    TRY(notify, bind_notify_socket(created.dir));
  }
  // In the foreground the container would die with us: nothing to tell.
  if (detached) {
    created.record.phase = Record::Phase::kStarting;
    TRY_VOID(created.dir.write(created.record));
  }
  TRY_VOID(created.container.start());
  TRY_VOID(record_start(created.dir, created.record));
  if (created.record.notify)
    TRY_VOID(relay_ready(notify.get(), created.container.pidfd(), created.record.pid,
                         request.notify_socket));
  return {};
}

// The cause counts; what could not be undone is a warning.
void give_up(Created& created, const Log& log) {
  Result<void> destroyed = destroy_container(created.dir, created.record, log);
  if (!destroyed) log.warn(destroyed.error().message());
}

Result<int> attend_to_end(Created& created, const sys::Fd& console, const SignalRelay& signals,
                          bool reap_others) {
  std::optional<RawTerminal> raw;
  if (console) raw.emplace(RawTerminal::enter());
  TRY_VOID(
      attend({created.record.pid, created.container.pidfd(), console.get(), reap_others}, signals));
  TRY(runtime::Container::Exit exit, created.container.reap());
  return exit.code;
}

Result<int> run_foreground(const BundleRequest& request, Call& call) {
  bool subreaper = !call.flags.boolean("no-subreaper");
  if (subreaper) TRY_VOID(become_subreaper());
  TRY(SignalRelay signals, SignalRelay::block());
  TRY(Created created, create_container(request, call, /*detached=*/false));
  sys::Fd console = created.container.take_console();
  if (console) pass_size_on(console.get());
  if (Result<void> started = start(created, request, /*detached=*/false); !started) {
    give_up(created, call.log);
    return std::move(started.error());
  }
  // Others may look, pause and kill meanwhile.
  created.dir.unlock();
  Result<int> code = attend_to_end(created, console, signals, subreaper);
  if (call.flags.boolean("keep") && code) return code;
  TRY(std::optional<ContainerDir> mine, ContainerDir::lock_remains(call.globals.root, request.id));
  // Deleted by force meanwhile, and perhaps made anew by somebody.
  if (!mine) return code;
  Result<Record> now = mine->read();
  if (!now || now->created_ns != created.record.created_ns) return code;
  created.dir = std::move(*mine);
  if (!code) {
    give_up(created, call.log);
    return code;
  }
  TRY_VOID(destroy_container(created.dir, created.record, call.log));
  return code;
}

Result<int> run_detached(const BundleRequest& request, Call& call) {
  TRY(Created created, create_container(request, call, /*detached=*/true));
  Result<void> started = start(created, request, /*detached=*/true);
  if (started) return 0;
  give_up(created, call.log);
  return std::move(started.error());
}

Result<int> run_run(Call& call) {
  TRY(BundleRequest request, read_request(call));
  return call.flags.boolean("detach") ? run_detached(request, call) : run_foreground(request, call);
}

}  // namespace

const CommandSpec kRun = {
    .name = "run",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Create and start a container; exits with the program's code",
    .table = {kRunFlags},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_run,
    .sealed = true,
};

}  // namespace wherry::ocicli
