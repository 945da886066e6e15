#include "ocicli/oom_watch.h"

#include <sys/eventfd.h>
#include <sys/inotify.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/cgroup_files.h"

namespace wherry::ocicli {
namespace {

std::string directory_with(const runtime::Cgroup& cgroup, const std::string& file) {
  for (const runtime::Cgroup::Directory& directory : cgroup.directories())
    if (access((directory.path + "/" + file).c_str(), F_OK) == 0) return directory.path;
  return {};
}

Result<sys::Fd> watch_v1(const std::string& directory) {
  sys::Fd event(eventfd(0, EFD_CLOEXEC | EFD_NONBLOCK));
  if (!event) return Error::from_errno(errno, "cannot make an eventfd");
  TRY(sys::Fd control, sys::open_file(directory + "/memory.oom_control", O_RDONLY));
  TRY_VOID(runtime::write_cgroup_file(
      directory, "cgroup.event_control",
      std::to_string(event.get()) + " " + std::to_string(control.get())));
  return event;
}

Result<sys::Fd> watch_v2(const std::string& file) {
  sys::Fd notify(inotify_init1(IN_CLOEXEC | IN_NONBLOCK));
  if (!notify) return Error::from_errno(errno, "cannot make an inotify instance");
  if (inotify_add_watch(notify.get(), file.c_str(), IN_MODIFY) < 0)
    return Error::from_errno(errno, "cannot watch '" + file + "'");
  return notify;
}

}  // namespace

Result<OomWatch> OomWatch::open(const runtime::Cgroup& cgroup) {
  OomWatch watch;
  if (std::string v1 = directory_with(cgroup, "memory.oom_control"); !v1.empty()) {
    TRY_CTX(watch.fd_, watch_v1(v1), "cannot watch for lack of memory");
  } else if (std::string v2 = directory_with(cgroup, "memory.events"); !v2.empty()) {
    watch.counter_ = v2;
    TRY_CTX(watch.fd_, watch_v2(v2 + "/memory.events"), "cannot watch for lack of memory");
    watch.seen_ = watch.kills();
  }
  return watch;
}

uint64_t OomWatch::kills() const {
  Result<std::optional<std::string>> text = runtime::read_cgroup_file(counter_, "memory.events");
  if (!text || !*text) return seen_;
  return runtime::flat_value(**text, "oom_kill").value_or(seen_);
}

Result<uint64_t> OomWatch::take() {
  uint64_t count = 0;
  if (counter_.empty()) {
    if (read(fd_.get(), &count, sizeof count) != static_cast<ssize_t>(sizeof count)) return 0;
    return count;
  }
  char events[4096];
  while (read(fd_.get(), events, sizeof events) > 0) {
  }
  uint64_t now = kills();
  count = now - seen_;
  seen_ = now;
  return count;
}

}  // namespace wherry::ocicli
