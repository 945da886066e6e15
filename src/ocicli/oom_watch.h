// Tells when the kernel has run out of memory in a container's cgroup: an eventfd on version 1's
// memory.oom_control, an inotify on version 2's memory.events.
// Sources: Documentation/admin-guide/cgroup-v1/memory.rst (10, OOM Control), cgroup-v2.rst.
#pragma once

#include <cstdint>
#include <string>

#include "runtime/cgroup.h"
#include "sys/fd.h"

namespace wherry::ocicli {

class OomWatch {
 public:
  // An empty watch (fd() is -1) where there is no memory controller.
  static Result<OomWatch> open(const runtime::Cgroup& cgroup);

  int fd() const { return fd_.get(); }  // readable: ask take()
  // How many more times it happened since the last call.
  Result<uint64_t> take();

 private:
  uint64_t kills() const;

  sys::Fd fd_;
  std::string counter_;  // version 2's memory.events; empty: version 1
  uint64_t seen_ = 0;
};

}  // namespace wherry::ocicli
