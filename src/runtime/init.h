// The stage of a container's init between clone and execve, as a table of contents. Runs in the
// child; everything it uses was planned and opened by the parent.
#pragma once

#include <string>

#include "runtime/cgroup.h"
#include "runtime/create_plan.h"
#include "runtime/mounts_apply.h"
#include "runtime/root.h"
#include "runtime/sync.h"
#include "sys/clone.h"

namespace wherry::runtime {

struct InitPlan {
  const CreateOptions* options = nullptr;
  const CreatePlan* plan = nullptr;
  const Cgroup* cgroup = nullptr;  // null: the specification names none
  PreparedRoot root;
  MountSources sources;
  // In a user namespace: what stands in for device nodes, and for the masks' null device.
  std::vector<sys::Fd> host_devices;
  sys::Fd host_null;
  std::vector<std::pair<int, sys::Fd>> joined;  // namespaces that are there: type and fd
  bool network_made = false;                    // the new network namespace is among them
};

// Clones the init into its namespaces, those to join included as far as a child is born into them.
// Returns in the parent only.
Result<sys::Cloned> clone_into_namespaces(InitPlan& init, int cgroup_fd, ChannelPair& channels);

// Never returns: executes the container's program, or reports and exits.
[[noreturn]] void run_init(InitPlan& init, ChannelPair& channels);

}  // namespace wherry::runtime
