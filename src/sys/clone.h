// clone3 for programs that make containers: a fork with namespaces, a pidfd and a cgroup of birth.
//
// A true fork, not CLONE_VM: the child of a container waits for its start while the parent goes on.
// The caller must have one thread. Source: clone(2).
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <functional>

#include "sys/fd.h"

namespace wherry::sys {

struct CloneOptions {
  uint64_t namespaces = 0;  // CLONE_NEW* bits
  int cgroup_fd = -1;       // a version 2 directory to be born in, or -1
  bool sibling = false;     // a child of our own parent (CLONE_PARENT)
};

struct Cloned {
  pid_t pid = 0;  // 0: this is the child
  Fd pidfd;       // of the child; empty in the child
};

Result<Cloned> clone_process(const CloneOptions& options);

// A new network namespace; the caller stays in its own. `furnish` is called inside.
Result<Fd> make_network_namespace(const std::function<Result<void>()>& furnish = nullptr);

// The child's first act: to be killed when the cloning thread ends.
Result<void> die_with_parent();

}  // namespace wherry::sys
