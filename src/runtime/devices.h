// Device nodes and the usual links in a container's /dev. First a pure plan, then mknodat by the fd
// of a /dev that was opened once and is a real directory: an image whose /dev is a link makes
// nothing on the host. Source: OCI runtime-spec 1.2, config-linux.md "Default Devices".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "sys/fd.h"

namespace wherry::runtime {

struct DeviceNode {
  std::string path;  // absolute and clean
  mode_t type = 0;   // S_IFCHR, S_IFBLK, S_IFIFO
  dev_t number = 0;
  mode_t permissions = 0666;
  uid_t uid = 0;
  gid_t gid = 0;
};

// The default devices and `devices`, which may replace a default one. Each at most once.
Result<std::vector<DeviceNode>> plan_devices(const std::vector<oci::Device>& devices);

// In the parent, for a container in a user namespace, where nodes may not be made: the host's own
// under the same paths, as detached mounts; empty for pipes. Another device there is an error.
Result<std::vector<sys::Fd>> open_host_devices(const std::vector<DeviceNode>& nodes);

// Nodes, and /dev/fd, stdin, stdout, stderr, ptmx. `host`: mounts that stand in for the nodes of
// the same places, or empty. Call with umask 0.
Result<void> make_devices(int root, const std::vector<DeviceNode>& nodes,
                          const std::vector<sys::Fd>& host);

// Whether `fd` is the null device, whatever its name.
bool is_null_device(int fd);

}  // namespace wherry::runtime
