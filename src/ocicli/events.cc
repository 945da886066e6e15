// `events`: statistics once or again and again, and what the kernel killed for lack of memory.
#include <poll.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <optional>

#include "base/clock.h"
#include "ocicli/command.h"
#include "ocicli/container_dir.h"
#include "ocicli/oom_watch.h"
#include "ocicli/stats.h"
#include "runtime/bundle.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

constexpr int64_t kNsPerMs = 1'000'000;

constexpr std::array kEventsFlags{
    Flag{"interval", 0, FlagKind::kString, "How often statistics are printed", "5s"},
    Flag{"stats", 0, FlagKind::kBool, "Print the statistics once"},
};

Result<void> print_stats(const Record& record) {
  TRY(runtime::CgroupStats stats, runtime::cgroup_stats(record.cgroup));
  TRY_VOID(print(stats_event(record.id, stats)));
  return {};
}

// runc's: a version 1 group also reports its own removal.
Result<void> print_ooms(const Record& record, OomWatch& watch) {
  TRY(uint64_t count, watch.take());
  if (!runtime::cgroup_stats(record.cgroup)) return {};
  for (; count > 0; --count) TRY_VOID(print(oom_event(record.id)));
  return {};
}

// Until the container has ended.
Result<void> follow(const Record& record, int64_t interval_ns) {
  TRY(sys::Fd init, sys::open_process(record.pid, record.start_time));
  TRY(runtime::Cgroup cgroup, runtime::Cgroup::find(record.cgroup.path));
  TRY(OomWatch watch, OomWatch::open(cgroup));
  int64_t next = monotonic_ns() + interval_ns;
  for (;;) {
    std::array<pollfd, 2> events{{{watch.fd(), POLLIN, 0}, {init.get(), POLLIN, 0}}};
    int64_t left = std::max<int64_t>(next - monotonic_ns(), 0);
    int wait_ms = static_cast<int>(std::min<int64_t>((left + kNsPerMs - 1) / kNsPerMs, INT32_MAX));
    int ready = poll(events.data(), events.size(), wait_ms);
    if (ready < 0 && errno != EINTR)
      return Error::from_errno(errno, "cannot wait for the container");
    if (ready > 0 && events[0].revents != 0) TRY_VOID(print_ooms(record, watch));
    if (ready > 0 && events[1].revents != 0) return {};
    if (ready == 0) {
      TRY_VOID(print_stats(record));
      next += interval_ns;
    }
  }
}

Result<int> run_events(Call& call) {
  std::string interval = call.flags.text("interval");
  std::optional<int64_t> interval_ns = parse_go_duration(interval);
  if (!interval_ns || *interval_ns <= 0)
    return Error(ErrorKind::kInvalidArgument,
                 "duration interval must be greater than 0: '" + interval + "'");
  TRY(ContainerDir dir, ContainerDir::open(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status(record));
  if (status == Status::kStopped || status == Status::kCreating)
    return Error(ErrorKind::kConflict, "container with id " + call.id() + " is not running")
        .set_hint("container not running");
  TRY_VOID(need_cgroup(record));
  if (call.flags.boolean("stats")) {
    TRY_VOID(print_stats(record));
    return 0;
  }
  TRY_VOID(follow(record, *interval_ns));
  return 0;
}

}  // namespace

const CommandSpec kEvents = {
    .name = "events",
    .usage = "[OPTIONS] CONTAINER",
    .summary = "Print what a container uses and when it runs out of memory",
    .table = {kEventsFlags},
    .min_arguments = 1,
    .max_arguments = 1,
    .run = run_events,
};

}  // namespace wherry::ocicli
