// Settling: the end of a run becomes a durable fact and everything it held is given back.
// Idempotent, under the container's lock; done by the attached client, by the monitor's `__settle`,
// or by any later command.
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/scope.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

// No exit code is known: Docker's clients read 255 as "ended outside our sight".
constexpr int kUnknownExit = 255;
constexpr const char* kLost = "monitor lost";
constexpr int kOrphanTimeoutMs = 5000;

ContainerState end_state(const RunView& view, const ContainerState& recorded) {
  ContainerState state = recorded;
  state.status = "exited";
  state.pid = 0;
  if (view.state.started_ns != 0) state.started_at = format_rfc3339(view.state.started_ns);
  if (view.life == RunView::Life::kFinished) {
    state.exit_code = view.state.exit_code;
    state.oom_killed = view.state.oom_killed;
    state.error = view.state.error;
    state.finished_at =
        format_rfc3339(view.state.finished_ns != 0 ? view.state.finished_ns : wall_clock_ns());
  } else {
    state.exit_code = kUnknownExit;
    state.error = kLost;
    state.finished_at = format_rfc3339(wall_clock_ns());
  }
  return state;
}

}  // namespace

Result<void> LocalEngine::settle(const std::string& id) {
  TraceScope trace("engine.settle");
  TRY(sys::FileLock lock, lock_container(id));
  Result<void> settled = settle_locked(id);
  // A container that is gone needs no lock file; one that is there keeps it.
  if (settled)
    if (auto record = reload(id); record && !*record) drop_lock_file(id);
  if (auto entry = settling_.extract(id); !entry.empty() && settled)
    if (auto client = entry.mapped().lock()) [[maybe_unused]]
      auto told = client->send(monitor::Settled{});
  return settled;
}

Result<void> LocalEngine::settle_locked(const std::string& id) {
  TRY_VOID(failpoint("engine.settle.begin"));
  TRY(RunView view, observe_run(fds_.run_containers.get(), id, Sight::kHolder));
  TRY(std::optional<ContainerRecord> record, reload(id));
  std::optional<sys::FileLock> barred;
  if (view.marker) {
    TRY(barred, end_of_start(id, view));
  }
  bool never_ran = view.state.started_ns == 0;
  if (!record || (view.marker && never_ran && view.life != RunView::Life::kNone))
    return settle_half_made(id, view, record);
  switch (view.life) {
    case RunView::Life::kNone:
      // Running in the database without a run directory: the machine was restarted.
      if (record->state.status != "running") return {};
      return record_end(std::move(*record), view);
    case RunView::Life::kLive:
      if (view.marker) {
        TRY(sys::Fd run_dir, sys::open_at(fds_.run_containers.get(), id, O_RDONLY | O_DIRECTORY));
        // Its starter died before it could say so; the container is there and stays.
        if (record->state.status != "running") {
          record->state = {.status = "running",
                           .started_at = format_rfc3339(view.state.started_ns)};
          TRY_VOID(save(*record, state::Durability::kDurable));
        }
        return clear_marker(run_dir.get());
      }
      return {};
    case RunView::Life::kFinished:
    case RunView::Life::kLost:
      return record_end(std::move(*record), view);
  }
  return {};
}

// The starter is gone, and its monitor may be at any point: one that has heard all it needs goes on
// by itself, any other gives up. Afterwards `view` is final, and nobody begins as long as the lock
// is held.
Result<std::optional<sys::FileLock>> LocalEngine::end_of_start(const std::string& id,
                                                               RunView& view) {
  for (;;) {
    if (view.life == RunView::Life::kLive && !view.running()) {
      TRY(view, outwait_start(fds_.run_containers.get(), id, kOrphanTimeoutMs));
    }
    if (view.life != RunView::Life::kLost || view.state.started_ns != 0)
      return std::optional<sys::FileLock>();
    TRY(std::optional<sys::FileLock> barred, bar_monitor(fds_.run_containers.get(), id));
    if (barred) return barred;
    TRY(view, observe_run(fds_.run_containers.get(), id, Sight::kHolder));
    if (view.life == RunView::Life::kNone) return std::optional<sys::FileLock>();
  }
}

// A start that was never acknowledged and whose program never ran: as if it had not been asked for.
Result<void> LocalEngine::settle_half_made(const std::string& id, const RunView& view,
                                           const std::optional<ContainerRecord>& record) {
  if (view.life == RunView::Life::kLive)
    return Error(ErrorKind::kInternal, "container '" + id + "' runs and has no record");
  TRY_VOID(release_run(id, true));
  if (!record) return sys::remove_tree_at(fds_.containers.get(), id);
  if (view.marker == StartMarker::kRun)
    return remove_locked(*record, true, state::Durability::kRelaxed);
  return {};
}

Result<void> LocalEngine::record_end(ContainerRecord record, const RunView& view) {
  // A monitor that ended with an error may have left the cgroup behind.
  bool unclean = view.life != RunView::Life::kFinished || !view.state.error.empty();
  TRY_VOID(failpoint("engine.settle.observed"));
  if (record.host_config.auto_remove) {
    TRY_VOID(release_run(record.id, unclean));
    return remove_locked(record, true, state::Durability::kRelaxed);
  }
  record.state = end_state(view, record.state);
  TRY_VOID(save(record, state::Durability::kDurable));
  TRY_VOID(failpoint("engine.settle.recorded"));
  return release_run(record.id, unclean);
}

Result<void> LocalEngine::remove_locked(const ContainerRecord& record, bool volumes,
                                        state::Durability durability) {
  TRY_VOID(failpoint("engine.remove.begin"));
  std::vector<std::string> unowned;
  TRY_VOID(with_reserve(fds_.root.get(), [&]() -> Result<void> {
    TRY(auto transaction, database_.begin(durability));
    TRY_VOID(state::delete_container(database_, record.id));
    if (volumes) {
      TRY(unowned, forget_anonymous_volumes(record));
    }
    return transaction.commit();
  }));
  TRY_VOID(failpoint("engine.remove.recorded"));
  // From here on what is left has no owner, and recovery would finish the work.
  TRY_VOID_CTX(sys::remove_tree_at(fds_.containers.get(), record.id),
               "cannot remove the files of container '" + record.name + "'");
  TRY_VOID(remove_volume_dirs(unowned));
  return failpoint("engine.remove.done");
}

Result<std::optional<ContainerRecord>> LocalEngine::current(ContainerRecord record) {
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kOnlooker));
  bool needs_settling = view.life == RunView::Life::kFinished ||
                        view.life == RunView::Life::kLost || view.marker ||
                        (view.life == RunView::Life::kNone && record.state.status == "running");
  bool unsettled = false;
  if (needs_settling) {
    TRY(std::optional<sys::FileLock> lock, try_lock_container(record.id));
    if (lock) {
      std::string id = record.id;
      // A container that cannot be settled (a full disk, a process that cannot die) is still shown.
      unsettled = !settle_locked(id);
      TRY(std::optional<ContainerRecord> again, reload(id));
      if (!again) {
        drop_lock_file(id);
        return std::optional<ContainerRecord>();
      }
      record = std::move(*again);
      TRY(view, observe_run(fds_.run_containers.get(), id, Sight::kHolder));
    }
  }
  if (view.running()) {
    TRY(bool paused, is_paused(record.id));
    record.state.status = paused ? "paused" : "running";
    record.state.pid = view.state.pid;
    record.state.exit_code = 0;
    record.state.error.clear();
    record.state.oom_killed = false;
    record.state.started_at = format_rfc3339(view.state.started_ns);
    TRY(record.network_settings, read_network_settings(fds_.run_containers.get(), record.id));
    record.network_settings.sandbox_key = "/proc/" + std::to_string(view.state.pid) + "/ns/net";
  } else if (view.life == RunView::Life::kFinished ||
             (unsettled && view.life == RunView::Life::kLost && !view.marker)) {
    // Otherwise another process is settling it at this moment.
    record.state = end_state(view, record.state);
  } else if (record.state.status == "running") {
    // Another process is starting it at this moment.
    record.state = {};
  }
  return std::optional(std::move(record));
}

}  // namespace wherry::engine
