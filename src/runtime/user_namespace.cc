#include "runtime/user_namespace.h"

#include <fmt/format.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "runtime/child_guard.h"
#include "sys/clone.h"

namespace wherry::runtime {
namespace {

constexpr size_t kMaxMappings = 340;  // user_namespaces(7), since Linux 4.15
constexpr uint32_t kNanosecondsPerSecond = 1'000'000'000;

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

bool overlap(uint32_t a, uint32_t a_size, uint32_t b, uint32_t b_size) {
  return a < uint64_t{b} + b_size && b < uint64_t{a} + a_size;
}

Result<void> write_proc_file(pid_t pid, const char* name, const std::string& text) {
  const std::string path = fmt::format("/proc/{}/{}", pid, name);
  TRY(const sys::Fd file, sys::open_file(path, O_WRONLY));
  // One write: the kernel takes the whole map or nothing.
  if (write(file.get(), text.data(), text.size()) == static_cast<ssize_t>(text.size())) return {};
  return Error::from_errno(errno, fmt::format("cannot write '{}' to '{}'", text, path));
}

}  // namespace

Result<void> check_mappings(const std::vector<oci::IdMapping>& mappings, const char* what) {
  if (mappings.size() > kMaxMappings)
    return invalid(fmt::format("more than {} {} mappings", kMaxMappings, what));
  for (size_t i = 0; i < mappings.size(); ++i) {
    const oci::IdMapping& one = mappings[i];
    if (one.size == 0 || uint64_t{one.container_id} + one.size > uint64_t{UINT32_MAX} ||
        uint64_t{one.host_id} + one.size > uint64_t{UINT32_MAX})
      return invalid(fmt::format("the {} mapping {}:{}:{} is empty or too large", what,
                                 one.container_id, one.host_id, one.size));
    for (size_t j = 0; j < i; ++j)
      if (overlap(one.container_id, one.size, mappings[j].container_id, mappings[j].size) ||
          overlap(one.host_id, one.size, mappings[j].host_id, mappings[j].size))
        return invalid(fmt::format("the {} mapping {}:{}:{} overlaps another", what,
                                   one.container_id, one.host_id, one.size));
  }
  return {};
}

std::string map_text(const std::vector<oci::IdMapping>& mappings) {
  std::string text;
  for (const oci::IdMapping& one : mappings)
    text += fmt::format("{} {} {}\n", one.container_id, one.host_id, one.size);
  return text;
}

Result<void> map_users(pid_t pid, const std::vector<oci::IdMapping>& uids,
                       const std::vector<oci::IdMapping>& gids) {
  TRY_VOID_CTX(write_proc_file(pid, "uid_map", map_text(uids)), "cannot map users");
  TRY_VOID_CTX(write_proc_file(pid, "gid_map", map_text(gids)), "cannot map groups");
  return {};
}

Result<void> become_root() {
  if (setresgid(0, 0, 0) != 0 || setresuid(0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot become root in the user namespace")
        .set_hint("map the container's ids 0");
  if (setgroups(0, nullptr) != 0 && errno != EPERM)
    return Error::from_errno(errno, "cannot clear the supplementary groups");
  return {};
}

Result<sys::Fd> make_user_namespace(const std::vector<oci::IdMapping>& uids,
                                    const std::vector<oci::IdMapping>& gids) {
  sys::CloneOptions clone;
  clone.namespaces = CLONE_NEWUSER;
  TRY(sys::Cloned holder, sys::clone_process(clone));
  if (holder.pid == 0) {
    [[maybe_unused]] const Result<void> bound = sys::die_with_parent();
    pause();
    _exit(0);
  }
  auto build = [&]() -> Result<sys::Fd> {
    TRY_VOID(map_users(holder.pid, uids, gids));
    return sys::open_file(fmt::format("/proc/{}/ns/user", holder.pid), O_RDONLY);
  };
  Result<sys::Fd> made = build();
  kill_and_reap(holder.pidfd.get());
  return made;
}

Result<std::string> offsets_text(const std::map<std::string, oci::TimeOffset>& offsets) {
  std::string text;
  for (const auto& [clock, offset] : offsets) {
    if (clock != "monotonic" && clock != "boottime")
      return invalid(fmt::format("'{}' is not a clock of a time namespace", clock));
    if (offset.nanosecs >= kNanosecondsPerSecond)
      return invalid(fmt::format("the offset of '{}' has {} nanoseconds", clock, offset.nanosecs));
    text += fmt::format("{} {} {}\n", clock, offset.secs, offset.nanosecs);
  }
  return text;
}

Result<TimeNamespaceForChildren> TimeNamespaceForChildren::make(
    const std::map<std::string, oci::TimeOffset>& offsets) {
  TRY(const std::string text, offsets_text(offsets));
  TRY_CTX(sys::Fd own, sys::open_file("/proc/self/ns/time", O_RDONLY),
          "this kernel has no time namespaces");
  if (unshare(CLONE_NEWTIME) != 0) return Error::from_errno(errno, "cannot make a time namespace");
  TimeNamespaceForChildren space(std::move(own));
  if (!text.empty())
    TRY_VOID_CTX(write_proc_file(getpid(), "timens_offsets", text), "cannot set the clocks");
  return space;
}

TimeNamespaceForChildren::~TimeNamespaceForChildren() {
  if (own_) setns(own_.get(), CLONE_NEWTIME);
}

Result<bool> in_other_namespace(pid_t pid, const char* name) {
  struct stat own{};
  struct stat other{};
  if (stat(fmt::format("/proc/self/ns/{}", name).c_str(), &own) != 0) return false;
  if (stat(fmt::format("/proc/{}/ns/{}", pid, name).c_str(), &other) != 0)
    return Error::from_errno(errno, fmt::format("cannot look at the {} namespace", name));
  return own.st_ino != other.st_ino || own.st_dev != other.st_dev;
}

}  // namespace wherry::runtime
