#include "runtime/cgroup_files.h"

#include <dirent.h>
#include <fcntl.h>
#include <fmt/format.h>
#include <poll.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <ctime>
#include <memory>

#include "base/clock.h"
#include "base/text.h"
#include "sys/fd.h"

namespace wherry::runtime {
namespace {

constexpr size_t kFileLimit = 64 << 20;  // cgroup.procs of very large groups
constexpr int64_t kMillisecond = 1'000'000;
constexpr size_t kMaxTree = 100'000;
constexpr size_t kMaxTreeDepth = 128;

bool is_gone(int errnum) {
  return errnum == ENOENT || errnum == ENODEV;
}

int poll_timeout(int64_t deadline_ns) {
  const int64_t left = deadline_ns - monotonic_ns();
  if (left <= 0) return 0;
  return static_cast<int>(std::min<int64_t>((left + kMillisecond - 1) / kMillisecond, 1 << 30));
}

void list_tree(const std::string& directory, size_t depth, std::vector<std::string>& result) {
  const std::unique_ptr<DIR, int (*)(DIR*)> dir(::opendir(directory.c_str()), ::closedir);
  if (!dir) return;
  while (const dirent* entry = ::readdir(dir.get())) {
    const std::string_view name = entry->d_name;
    if (entry->d_type != DT_DIR || name == "." || name == "..") continue;
    if (depth >= kMaxTreeDepth || result.size() >= kMaxTree) return;
    list_tree(fmt::format("{}/{}", directory, name), depth + 1, result);
  }
  result.push_back(directory);
}

// rmdir of one group: true when it is gone, false when it is busy.
Result<bool> try_remove(const std::string& directory) {
  if (::rmdir(directory.c_str()) == 0 || is_gone(errno)) return true;
  if (errno == EBUSY || errno == ENOTEMPTY) return false;
  return Error::from_errno(errno, fmt::format("cannot remove the cgroup '{}'", directory));
}

// The processes still in a version 1 group, as pidfds to wait on.
Result<std::vector<sys::Fd>> open_processes(const std::string& directory) {
  TRY(const std::set<pid_t> processes, cgroup_processes(directory));
  std::vector<sys::Fd> result;
  for (pid_t pid : processes) {
    sys::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (pidfd) result.push_back(std::move(pidfd));
  }
  return result;
}

// Something keeps the group busy: waits for the next sign of its end. False at the deadline.
Result<bool> wait_less_busy(const std::string& directory, int64_t deadline_ns) {
  TRY(const auto events, read_cgroup_file(directory, "cgroup.events"));
  if (events && flat_value(*events, "populated") == 1) {
    return wait_cgroup_event(directory, "populated", 0, deadline_ns);
  }
  TRY(const std::vector<sys::Fd> processes, open_processes(directory));
  if (!processes.empty()) {
    std::vector<int> pidfds;
    for (const sys::Fd& fd : processes) pidfds.push_back(fd.get());
    return wait_processes(pidfds, deadline_ns);
  }
  // The last one is on its way through exit, or a child group is being taken down: version 1 has no
  // event for either.
  if (monotonic_ns() >= deadline_ns) return false;
  const timespec pause{.tv_sec = 0, .tv_nsec = kMillisecond / 2};
  ::nanosleep(&pause, nullptr);
  return true;
}

}  // namespace

Result<void> CgroupWriter::write(const std::string& directory, const std::string& file,
                                 std::string_view value) {
  const auto failed = [&](int errnum) {
    return Error::from_errno(errnum,
                             fmt::format("cannot write '{}' to '{}/{}'", value, directory, file));
  };
  std::string path = fmt::format("{}/{}", directory, file);
  if (!fd_ || path != path_) {
    fd_.reset(::open(path.c_str(), O_WRONLY | O_CLOEXEC));
    path_ = std::move(path);
  }
  if (!fd_) return failed(errno);
  ssize_t written;
  do {
    written = ::write(fd_.get(), value.data(), value.size());
  } while (written < 0 && errno == EINTR);
  if (written < 0) return failed(errno);
  return {};
}

Result<void> write_cgroup_file(const std::string& directory, const std::string& file,
                               std::string_view value) {
  return CgroupWriter().write(directory, file, value);
}

Result<std::optional<std::string>> read_cgroup_file(const std::string& directory,
                                                    const std::string& file) {
  Result<std::string> text = sys::read_file(fmt::format("{}/{}", directory, file), kFileLimit);
  if (!text) {
    if (is_gone(text.error().errnum())) return std::optional<std::string>();
    return std::move(text.error());
  }
  if (text->ends_with('\n')) text->pop_back();
  return std::optional<std::string>(std::move(*text));
}

std::optional<uint64_t> flat_value(std::string_view text, std::string_view key) {
  for (std::string_view line : split(text, '\n')) {
    const auto [name, value] = split_once(line, ' ');
    if (name == key && value) return parse_u64(*value);
  }
  return std::nullopt;
}

std::vector<std::string> cgroup_tree(const std::string& directory) {
  std::vector<std::string> result;
  list_tree(directory, 0, result);
  return result;
}

Result<std::set<pid_t>> cgroup_processes(const std::string& directory) {
  std::set<pid_t> result;
  for (const std::string& group : cgroup_tree(directory)) {
    TRY(const auto text, read_cgroup_file(group, "cgroup.procs"));
    if (!text) continue;
    for (std::string_view line : split(*text, '\n')) {
      const auto pid = parse_u64(line);
      if (pid && *pid != 0) result.insert(static_cast<pid_t>(*pid));
    }
  }
  return result;
}

Result<bool> wait_cgroup_event(const std::string& directory, std::string_view key, uint64_t value,
                               int64_t deadline_ns) {
  const std::string path = directory + "/cgroup.events";
  const sys::Fd fd(::open(path.c_str(), O_RDONLY | O_CLOEXEC));
  if (!fd) {
    if (is_gone(errno)) return true;
    return Error::from_errno(errno, fmt::format("cannot watch '{}'", path));
  }
  while (true) {
    char buffer[256];
    const ssize_t size = ::pread(fd.get(), buffer, sizeof buffer, 0);
    if (size < 0) {
      if (is_gone(errno)) return true;
      return Error::from_errno(errno, fmt::format("cannot read '{}'", path));
    }
    if (flat_value({buffer, static_cast<size_t>(size)}, key) == value) return true;
    if (monotonic_ns() >= deadline_ns) return false;
    pollfd poller{.fd = fd.get(), .events = POLLPRI, .revents = 0};
    if (::poll(&poller, 1, poll_timeout(deadline_ns)) < 0 && errno != EINTR) {
      return Error::from_errno(errno, fmt::format("cannot watch '{}'", path));
    }
  }
}

Result<bool> wait_processes(const std::vector<int>& pidfds, int64_t deadline_ns) {
  for (int pidfd : pidfds) {
    pollfd poller{.fd = pidfd, .events = POLLIN, .revents = 0};
    while (true) {
      const int ready = ::poll(&poller, 1, poll_timeout(deadline_ns));
      if (ready > 0) break;
      if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "cannot wait for a process");
      if (monotonic_ns() >= deadline_ns) return false;
    }
  }
  return true;
}

Result<void> remove_cgroup_tree(const std::string& directory, int64_t deadline_ns) {
  while (true) {
    TRY(bool gone, try_remove(directory));
    if (gone) return {};
    for (const std::string& group : cgroup_tree(directory)) {
      TRY(gone, try_remove(group));
      if (gone) continue;
      TRY(const bool in_time, wait_less_busy(group, deadline_ns));
      if (!in_time) {
        return Error(ErrorKind::kConflict,
                     fmt::format("cannot remove the cgroup '{}': processes are still in it", group))
            .set_hint("end them first");
      }
      break;  // look again: the tree may have changed
    }
  }
}

}  // namespace wherry::runtime
