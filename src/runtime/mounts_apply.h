// The executor of mount plans (runtime/mount_plan.h). The parent opens what lies on the host,
// before the container exists; the stage before execve attaches everything below the container's
// root, by fds only.
#pragma once

#include <string>
#include <vector>

#include "runtime/cgroup.h"
#include "runtime/mount_plan.h"
#include "sys/fd.h"

namespace wherry::runtime {

// What a step needs from the host, as detached mounts; empty for new file systems and remounts.
struct MountSources {
  struct Clone {
    std::string name;  // for cgroups: the hierarchy's directory, "" for pure version 2
    sys::Fd mount;
  };
  std::vector<std::vector<Clone>> of_step;  // as many as steps
};

// In the parent, after the cgroup exists. `cgroup` may be null when no step needs it.
// `host_view`: the container shares the host's cgroup namespace, and on pure version 2 sees all of
// it.
Result<MountSources> open_sources(const std::vector<MountStep>& steps, const Cgroup* cgroup,
                                  bool host_view);

// In the container's namespaces: all steps in order. `proc` receives a private clone of the
// container's own procfs, if a step makes a writable one. Call with umask 0.
Result<void> apply_mounts(int root, const std::vector<MountStep>& steps, MountSources& sources,
                          sys::Fd& proc);

}  // namespace wherry::runtime
