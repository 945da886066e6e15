// Where a container's cgroup is, by the specification's cgroupsPath and the driver that makes it.
// Pure. Source: OCI runtime-spec config-linux.md "Cgroups Path"; systemd.slice(5), systemd.unit(5).
#pragma once

#include <string>

#include "base/result.h"

namespace wherry::runtime {

enum class CgroupDriver { kCgroupfs, kSystemd, kDisabled };

// What the caller of a bundle keeps in its state file, both fields as they are.
struct CgroupPlace {
  std::string path;  // below each hierarchy's mount: "/docker/<id>"; empty: none
  std::string unit;  // systemd's scope ("docker-<id>.scope"); empty: not systemd's
  // The slice that it is in, the part of the path before it.
  std::string slice() const;
};

// The place that `cgroups_path` means for this driver. cgroupfs: an absolute path as it is, a
// relative one below "/", an empty one "/wherry-oci/<id>"; parts like ".." are taken away. systemd:
// "slice:prefix:name" (empty: "system.slice:wherry-oci:<id>").
Result<CgroupPlace> place_of_cgroup(const std::string& cgroups_path, const std::string& id,
                                    CgroupDriver driver);

// "a-b.slice" -> "/a.slice/a-b.slice"; "-.slice" -> "".
Result<std::string> slice_path(const std::string& slice);

}  // namespace wherry::runtime
