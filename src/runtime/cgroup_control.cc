// The second half of a cgroup's life: watching, freezing, killing, removing.
#include <fmt/format.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <ctime>
#include <set>

#include "base/clock.h"
#include "base/failpoint.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/container.h"

namespace wherry::runtime {
namespace {

constexpr int64_t kMillisecond = 1'000'000;
constexpr int64_t kFreezeTimeout = 10'000 * kMillisecond;
constexpr int64_t kRemoveTimeout = 2'000 * kMillisecond;
constexpr const char* kFreezerFile = "freezer.state";

// Version 1 freezes step by step and tells nobody when it is done: reading the state goes on with
// it.
Result<bool> freeze_v1(const std::string& directory, bool frozen, int64_t deadline_ns) {
  const std::string wanted = frozen ? "FROZEN" : "THAWED";
  while (true) {
    const Result<void> written = write_cgroup_file(directory, kFreezerFile, wanted);
    if (!written && written.error().errnum() != ENOENT && written.error().errnum() != ENODEV) {
      return Error(written.error());
    }
    TRY(const auto state, read_cgroup_file(directory, kFreezerFile));
    if (!state || *state == wanted) return true;
    if (monotonic_ns() >= deadline_ns) return false;
    const timespec pause{.tv_sec = 0, .tv_nsec = kMillisecond};
    ::nanosleep(&pause, nullptr);
  }
}

Result<bool> freeze_v2(const std::string& directory, bool frozen, int64_t deadline_ns) {
  const Result<void> written = write_cgroup_file(directory, "cgroup.freeze", frozen ? "1" : "0");
  if (!written) {
    if (written.error().errnum() == ENOENT || written.error().errnum() == ENODEV) return true;
    return Error(written.error());
  }
  return wait_cgroup_event(directory, "frozen", frozen ? 1 : 0, deadline_ns);
}

const std::string* freezer_of(const auto& groups) {
  for (const auto& group : groups) {
    for (const std::string& controller : group.controllers) {
      if (controller == "freezer") return &group.directory;
    }
  }
  return nullptr;
}

}  // namespace

std::vector<std::string> Cgroup::all_paths() const {
  std::vector<std::string> result;
  if (!v2_.directory.empty()) result.push_back(v2_.directory);
  for (const Group& group : v1_) result.push_back(group.directory);
  return result;
}

bool Cgroup::v2_populated() const {
  if (v2_.directory.empty()) return false;
  const auto events = read_cgroup_file(v2_.directory, "cgroup.events");
  return events && *events && flat_value(**events, "populated") == 1;
}

Result<bool> Cgroup::oom_killed() const {
  const auto count = [](const std::string& directory, const char* file) -> Result<bool> {
    TRY(const auto text, read_cgroup_file(directory, file));
    return text && flat_value(*text, "oom_kill").value_or(0) > 0;
  };
  for (const Group& group : v1_) {
    for (const std::string& controller : group.controllers) {
      if (controller == "memory") return count(group.directory, "memory.oom_control");
    }
  }
  if (v2_.directory.empty()) return false;
  return count(v2_.directory, "memory.events");
}

Result<std::set<pid_t>> Cgroup::processes() const {
  std::set<pid_t> all;
  for (const std::string& directory : all_paths()) {
    TRY(const std::set<pid_t> processes, cgroup_processes(directory));
    all.insert(processes.begin(), processes.end());
  }
  return all;
}

Result<uint64_t> Cgroup::process_count() const {
  TRY(const std::set<pid_t> all, processes());
  return all.size();
}

Result<bool> Cgroup::frozen() const {
  if (!v2_.directory.empty()) {
    TRY(const auto state, read_cgroup_file(v2_.directory, "cgroup.freeze"));
    if (state && *state == "1") return true;
  }
  const std::string* freezer = freezer_of(v1_);
  if (freezer == nullptr) return false;
  TRY(const auto state, read_cgroup_file(*freezer, kFreezerFile));
  return state && *state != "THAWED";
}

Result<void> Cgroup::freeze(bool frozen) const {
  const int64_t deadline = monotonic_ns() + kFreezeTimeout;
  const std::string* freezer = freezer_of(v1_);
  // Processes are in the version 2 group when they were cloned into it; else version 1 must do.
  const bool use_v2 = v2_populated();
  bool in_time = true;
  if (use_v2 || (!frozen && !v2_.directory.empty())) {
    TRY(in_time, freeze_v2(v2_.directory, frozen, deadline));
  }
  if (in_time && freezer != nullptr && (!frozen || !use_v2)) {
    TRY(in_time, freeze_v1(*freezer, frozen, deadline));
  }
  if (!in_time) {
    if (frozen) TRY_VOID(freeze(false));
    return Error(ErrorKind::kUnavailable,
                 fmt::format("cannot {} the cgroup '{}': its processes did not stop in time",
                             frozen ? "freeze" : "thaw", path_));
  }
  if (frozen && !use_v2 && freezer == nullptr) {
    TRY(const uint64_t processes, process_count());
    if (processes == 0) return {};
    return Error(ErrorKind::kUnsupported,
                 fmt::format("cannot freeze the cgroup '{}': this host has no freezer", path_))
        .set_hint("mount cgroup version 2, or version 1's 'freezer' controller");
  }
  return {};
}

// SIGKILL one by one, for processes that version 2's cgroup.kill does not reach. Frozen meanwhile
// where possible, so that nobody forks away. True when nobody is left.
Result<bool> Cgroup::signal_leftovers(int64_t deadline_ns) const {
  const std::string* freezer = freezer_of(v1_);
  while (true) {
    bool anybody = false;
    if (freezer != nullptr) TRY_VOID(freeze_v1(*freezer, true, monotonic_ns() + 20 * kMillisecond));
    std::vector<sys::Fd> owners;
    std::vector<int> pidfds;
    for (const std::string& directory : all_paths()) {
      TRY(const std::set<pid_t> processes, cgroup_processes(directory));
      for (pid_t pid : processes) {
        sys::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
        if (!pidfd) continue;
        // The number may have been given to another process between the list and the pidfd.
        TRY(const std::set<pid_t> again, cgroup_processes(directory));
        if (!again.contains(pid)) continue;
        anybody = true;
        if (::syscall(SYS_pidfd_send_signal, pidfd.get(), SIGKILL, nullptr, 0) < 0 &&
            errno != ESRCH) {
          return Error::from_errno(errno, fmt::format("cannot kill process {}", pid));
        }
        pidfds.push_back(pidfd.get());
        owners.push_back(std::move(pidfd));
      }
    }
    if (freezer != nullptr) TRY_VOID(freeze_v1(*freezer, false, deadline_ns));
    TRY(const bool ended, wait_processes(pidfds, deadline_ns));
    if (!ended) return false;
    if (!anybody) return true;
    if (monotonic_ns() >= deadline_ns) return false;
  }
}

Result<void> Cgroup::kill_all(int timeout_ms) const {
  const std::string context = fmt::format("cannot kill the processes of the cgroup '{}'", path_);
  const int64_t deadline = monotonic_ns() + timeout_ms * kMillisecond;
  bool empty = true;
  if (v2_populated()) {
    const Result<void> killed = write_cgroup_file(v2_.directory, "cgroup.kill", "1");
    // Kernels before 5.14 have no such file: the signals below do it.
    if (!killed && killed.error().errnum() != ENOENT && killed.error().errnum() != ENODEV) {
      return Error(killed.error()).wrap(context);
    }
    if (killed) {
      // A group frozen by version 1 takes no signal before it is thawed.
      if (const std::string* freezer = freezer_of(v1_)) {
        TRY_CTX(empty, freeze_v1(*freezer, false, deadline), context);
      }
      TRY_CTX(empty, wait_cgroup_event(v2_.directory, "populated", 0, deadline), context);
    }
  }
  TRY_CTX(const uint64_t left, process_count(), context);
  if (left != 0 && empty) {
    TRY_CTX(empty, signal_leftovers(deadline), context);
  }
  if (!empty) {
    return Error(ErrorKind::kUnavailable,
                 fmt::format("{}: some are still alive after {} ms", context, timeout_ms));
  }
  return failpoint("runtime.cgroup.killed");
}

Result<void> Cgroup::remove_until(int64_t deadline_ns) const {
  Result<void> first;
  for (const std::string& directory : all_paths()) {
    Result<void> removed = remove_cgroup_tree(directory, deadline_ns);
    if (!removed && first) first = std::move(removed);
  }
  return first;
}

Result<void> Cgroup::remove() const {
  TRY_VOID(remove_until(monotonic_ns() + kRemoveTimeout));
  return failpoint("runtime.cgroup.removed");
}

Result<void> Cgroup::destroy(int timeout_ms) const {
  const Result<void> removed = remove_until(0);
  if (removed) return failpoint("runtime.cgroup.removed");
  TRY_VOID(kill_all(timeout_ms));
  return remove();
}

namespace {

// Runs `action` on the cgroup; one that no hierarchy has is fine.
Result<void> with_cgroup(const std::string& cgroups_path, auto action) {
  Result<Cgroup> cgroup = Cgroup::find(cgroups_path);
  if (cgroup) return action(*cgroup);
  if (cgroup.error().kind() == ErrorKind::kNotFound) return {};
  return std::move(cgroup.error());
}

}  // namespace

Result<void> kill_cgroup(const std::string& cgroups_path, int timeout_ms) {
  return with_cgroup(cgroups_path,
                     [&](const Cgroup& cgroup) { return cgroup.kill_all(timeout_ms); });
}

Result<void> remove_cgroup(const std::string& cgroups_path) {
  return with_cgroup(cgroups_path, [](const Cgroup& cgroup) { return cgroup.remove(); });
}

Result<void> freeze_cgroup(const std::string& cgroups_path, bool frozen) {
  TRY(const Cgroup cgroup, Cgroup::find(cgroups_path));
  return cgroup.freeze(frozen);
}

Result<bool> cgroup_frozen(const std::string& cgroups_path) {
  bool frozen = false;
  TRY_VOID(with_cgroup(cgroups_path, [&](const Cgroup& cgroup) -> Result<void> {
    TRY(frozen, cgroup.frozen());
    return {};
  }));
  return frozen;
}

PreparedCgroup::PreparedCgroup() = default;
PreparedCgroup::PreparedCgroup(PreparedCgroup&&) noexcept = default;
PreparedCgroup& PreparedCgroup::operator=(PreparedCgroup&&) noexcept = default;

PreparedCgroup::~PreparedCgroup() {
  if (cgroup_) [[maybe_unused]]
    const Result<void> removed = cgroup_->remove();
}

Result<PreparedCgroup> PreparedCgroup::make(const std::string& cgroups_path) {
  TRY(Cgroup cgroup, Cgroup::prepare(cgroups_path));
  PreparedCgroup prepared;
  prepared.path_ = cgroups_path;
  prepared.cgroup_ = std::make_unique<Cgroup>(std::move(cgroup));
  return prepared;
}

std::unique_ptr<Cgroup> PreparedCgroup::take(const std::string& cgroups_path) {
  return cgroups_path == path_ ? std::move(cgroup_) : nullptr;
}

Result<void> enter_cgroup(const std::string& cgroups_path) {
  TRY(const Cgroup cgroup, Cgroup::ensure(cgroups_path));
  return cgroup.attach_self_everywhere();
}

}  // namespace wherry::runtime
