// Binds and volumes: from what the user wrote ("/a:/b:ro", "name:/b", "/b") to mount points, and
// from those to the runtime's mounts. Pure but for random names, which the caller supplies.
//
// Named volumes live at <root>/volumes/NAME/_data. Options: ro rw nocopy [r]shared [r]slave
// [r]private; z Z (no SELinux here) and cached delegated consistent (one machine) are accepted as
// Docker accepts them where they mean nothing. Source: reference cli-and-api.md 1.2.
#pragma once

#include <functional>
#include <string>
#include <string_view>
#include <vector>

#include "engine/record.h"
#include "oci/runtime_spec.h"

namespace wherry::engine {

// One -v. Errors are Docker's: "invalid volume specification: 'x'", "invalid mode: x", ...
// An anonymous volume has an empty name here.
Result<MountPoint> parse_bind(std::string_view text);

// All mount points of a container: the binds, then the image's and user's volumes whose destination
// no bind has taken. Two mounts at one destination are "Duplicate mount point: /x".
Result<std::vector<MountPoint>> plan_mount_points(const std::vector<std::string>& binds,
                                                  const std::vector<std::string>& volumes,
                                                  const std::string& root,
                                                  const std::function<std::string()>& new_name);

// In the order of mounting: parents before children.
std::vector<oci::Mount> volume_mounts(std::vector<MountPoint> points);

std::string volume_directory(const std::string& root, const std::string& name);

}  // namespace wherry::engine
