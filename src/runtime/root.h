// A container's root file system as a detached mount: prepared by the parent, attached in the
// container's own mount namespace. The host's mount table never shows it.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "runtime/container.h"
#include "sys/mount.h"

namespace wherry::runtime {

class PreparedRoot {
 public:
  // In the parent: an overlay or a clone of the directory's mount. `propagation`: what is to become
  // of the root; with MS_SLAVE a directory keeps hearing of the host's mounts below it.
  static Result<PreparedRoot> prepare(const RootSource& source, uint64_t propagation = 0);

  // In the container's mount namespace: attaches it on a directory of the host that is of no more
  // use there, and returns the root's fd.
  Result<sys::Fd> attach();

  // For a process that works in the tree itself: the root's fd, without a place in any mount table,
  // nodev, nosuid and noexec.
  // Where the kernel needs one for a moment, it is in a child's mount namespace: the caller must
  // have one thread.
  Result<sys::Fd> detached();

 private:
  Result<sys::Fd> attach_elsewhere(const sys::MountAttributes& attributes);
  Result<void> prepare_overlay(const RootSource& source);

  sys::Fd mount_;
  std::string anchor_;
  // Kernels before 6.5 take an overlay's layers only through mount(2), and as layers only what lies
  // in the mounter's own mount namespace: all of it waits for attach().
  std::optional<RootSource> classic_;
  sys::Fd metadata_;  // the mount of the image that the overlay stands on, parked by attach()
};

// For a detached mount that is needed only through its fd, in the container's mount namespace
// before the pivot: hangs it into the host's tree, with which it goes. Closing a detached mount
// waits for an RCU grace period of its own (0.1 ms when idle, several under load).
Result<void> park_mount(int mount);

}  // namespace wherry::runtime
