// stop, kill, restart, remove, wait: what is done to a container through its monitor.
#include <signal.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/signals.h"
#include "runtime/container.h"
#include "sys/process.h"

namespace wherry::engine {
namespace {

constexpr int kDefaultStopSeconds = 10;
// After SIGKILL the kernel is asked through the cgroup as well.
constexpr int kKillGraceMs = 2000;
constexpr int kMonitorGraceMs = 10000;
constexpr int kRemoveAttempts = 5;
constexpr size_t kMaxCommandLine = 4096;

Error not_running(const ContainerRecord& record, std::string_view action) {
  return Error(ErrorKind::kConflict, "cannot " + std::string(action) +
                                         " container: " + record.name + ": container " + record.id +
                                         " is not running");
}

// It is there and holds its lock, but is stopped or stuck.
bool does_not_answer(const Error& error) {
  return error.errnum() == ETIMEDOUT;
}

bool gone(const Error& error) {
  return error.kind() == ErrorKind::kUnavailable && !does_not_answer(error);
}

// It may have ended meanwhile and its number may be another's: the start time around the look at
// the command line says that it was the same process.
Result<void> kill_monitor(pid_t pid, const std::string& id) {
  std::optional<uint64_t> start_time = sys::process_start_time(pid);
  std::string line =
      sys::read_file("/proc/" + std::to_string(pid) + "/cmdline", kMaxCommandLine).value_or("");
  if (!start_time || !line.starts_with(std::string("wherry-monitor") + '\0' + id + '\0')) return {};
  Result<sys::Fd> process = sys::open_process(pid, *start_time);
  return process ? sys::signal_process(process->get(), SIGKILL) : Result<void>();
}

}  // namespace

Result<std::optional<monitor::Client>> LocalEngine::connect(const std::string& id) {
  Result<sys::Fd> run_dir = sys::open_at(fds_.run_containers.get(), id, O_RDONLY | O_DIRECTORY);
  if (!run_dir) {
    if (run_dir.error().kind() == ErrorKind::kNotFound) return std::optional<monitor::Client>();
    return std::move(run_dir.error());
  }
  Result<monitor::Client> client = monitor::Client::connect(run_dir->get());
  if (client) return std::optional(std::move(*client));
  if (client.error().kind() == ErrorKind::kNotFound || gone(client.error()))
    return std::optional<monitor::Client>();
  return std::move(client.error());
}

// Signal, wait, SIGKILL, wait; then the cgroup. Settled by us when this returns, so that the caller
// may say it is done. timeout: nullopt waits for ever.
Result<void> LocalEngine::end_process(const ContainerRecord& record, int signal,
                                      std::optional<int> timeout) {
  TRY(std::optional<monitor::Client> client, connect(record.id));
  if (!client) return settle(record.id);
  Result<void> asked = client->send(monitor::WillSettle{});
  if (asked) asked = client->send(monitor::WatchExit{});
  if (asked) asked = client->send(monitor::Signal{signal});
  // It has ended at this moment.
  if (!asked && gone(asked.error())) return settle(record.id);
  if (!asked) return asked;
  TRY_VOID(thaw(record.id));
  Result<std::optional<monitor::Exited>> exited =
      wait_for_exit(*client, timeout ? int64_t{*timeout} * 1000 : -1);
  if (exited && !*exited) {
    TRY_VOID(failpoint("engine.stop.killing"));
    if (client->send(monitor::Signal{SIGKILL})) exited = wait_for_exit(*client, kKillGraceMs);
    if (exited && !*exited) {
      TRY_VOID_CTX(runtime::kill_cgroup(paths_.cgroup(record.id), kMonitorGraceMs),
                   "cannot kill container '" + record.name + "'");
      exited = wait_for_exit(*client, kMonitorGraceMs);
    }
  }
  if (!exited && !gone(exited.error())) return std::move(exited.error());
  if (exited && !*exited)
    return Error(ErrorKind::kUnavailable, "cannot stop container '" + record.name +
                                              "': it ended, but its monitor does not answer")
        .set_errnum(ETIMEDOUT);
  TRY_VOID(settle(record.id));
  [[maybe_unused]] Result<void> told = client->send(monitor::Settled{});
  return {};
}

Result<void> LocalEngine::stop(const std::string& name, std::optional<int> timeout,
                               const std::string& signal) {
  TraceScope trace("engine.stop");
  TRY(ContainerRecord record, find_record(name));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kOnlooker));
  if (!view.running()) {
    TRY([[maybe_unused]] auto folded, current(std::move(record)));
    return {};
  }
  const std::string& word = !signal.empty() ? signal : record.config.stop_signal;
  TRY(int number, parse_signal(word.empty() ? "TERM" : word));
  int seconds = timeout.value_or(record.config.stop_timeout.value_or(kDefaultStopSeconds));
  if (seconds == 0) number = SIGKILL;
  std::optional<int> limit = seconds < 0 ? std::nullopt : std::optional(seconds == 0 ? 2 : seconds);
  TRY_VOID_CTX(end_process(record, number, limit), "cannot stop container: " + record.name);
  return {};
}

Result<void> LocalEngine::restart(const std::string& name, std::optional<int> timeout,
                                  const std::string& signal) {
  TRY(ContainerRecord record, find_record(name));
  TRY_VOID(stop(record.id, timeout, signal));
  TRY([[maybe_unused]] auto session, start(record.id, std::nullopt, 0, 0));
  return {};
}

Result<void> LocalEngine::kill(const std::string& name, const std::string& signal) {
  TRY(int number, parse_signal(signal.empty() ? "KILL" : signal));
  TRY(ContainerRecord record, find_record(name));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kOnlooker));
  if (!view.running()) return not_running(record, "kill");
  if (number == SIGKILL) return end_process(record, SIGKILL, kKillGraceMs / 1000);
  TRY(std::optional<monitor::Client> client, connect(record.id));
  if (!client) return not_running(record, "kill");
  Result<void> sent = client->call(monitor::Signal{number});
  if (!sent && gone(sent.error())) return not_running(record, "kill");
  TRY_VOID_CTX(sent, "cannot kill container: " + record.name);
  return thaw(record.id);
}

Result<void> LocalEngine::remove(const std::string& name, bool force, bool volumes) {
  TraceScope trace("engine.remove");
  TRY(ContainerRecord found, find_record(name));
  const std::string id = found.id;
  for (int attempt = 0; attempt < kRemoveAttempts; ++attempt) {
    TRY(RunView seen, observe_run(fds_.run_containers.get(), id, Sight::kOnlooker));
    if (seen.running()) {
      if (!force)
        return Error(
            ErrorKind::kConflict,
            "cannot remove container \"/" + found.name +
                "\": container is running: stop the container before removing or force remove");
      Result<void> ended = end_process(found, SIGKILL, kKillGraceMs / 1000);
      if (!ended && !does_not_answer(ended.error())) return ended;
      // Settling finds the monitor lost and kills what it looked after.
      if (!ended) TRY_VOID(end_stuck_monitor(seen.state.monitor_pid, id));
    }
    TRY(sys::FileLock lock, lock_container(id));
    TRY_VOID(settle_locked(id));
    TRY(std::optional<ContainerRecord> record, reload(id));
    TRY(RunView view, observe_run(fds_.run_containers.get(), id, Sight::kHolder));
    if (view.running()) continue;  // started again by another command meanwhile
    if (record) TRY_VOID(remove_locked(*record, volumes, state::Durability::kDurable));
    drop_lock_file(id);
    return {};
  }
  return Error(ErrorKind::kConflict,
               "cannot remove container \"/" + found.name + "\": it is started again and again");
}

Result<void> LocalEngine::end_stuck_monitor(int pid, const std::string& id) {
  TRY_VOID(kill_monitor(pid, id));
  TRY(bool ended, wait_for_monitor_end(fds_.run_containers.get(), id, kMonitorGraceMs));
  if (ended) return {};
  return Error(ErrorKind::kUnavailable, "the monitor of container '" + id + "' cannot be killed");
}

Result<int> LocalEngine::wait(const std::string& name) {
  TRY(ContainerRecord record, find_record(name));
  TRY(std::optional<monitor::Client> client, connect(record.id));
  if (client) {
    Result<void> asked = client->send(monitor::WatchExit{});
    if (!asked && !gone(asked.error())) return std::move(asked.error());
    Result<std::optional<monitor::Exited>> exited = wait_for_exit(*client, -1);
    if (exited && *exited) {
      TRY_VOID(settle(record.id));
      return (*exited)->code;
    }
    if (!exited && !gone(exited.error())) return std::move(exited.error());
  }
  TRY(std::optional<ContainerRecord> folded, current(record));
  return folded ? folded->state.exit_code : record.state.exit_code;
}

}  // namespace wherry::engine
