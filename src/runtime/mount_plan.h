// The mount planner: an OCI mount as the user wrote it -> what the executor has to do, as plain
// data.
//
// Pure: no file is looked at. An option that is no word of mount(8) is data for the file system,
// and the kernel judges it; binds have no data, so there it is refused by name, as are mounts over
// what keeps the host safe in /proc. Sources: OCI runtime-spec 1.2 config.md "Mounts" and
// config-linux.md, mount(8).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"
#include "oci/runtime_spec.h"
#include "sys/mount.h"

namespace wherry::runtime {

struct MountStep {
  enum class Kind {
    kFilesystem,  // a new instance: proc, sysfs, tmpfs, devpts, mqueue, ...
    kBind,        // a clone of the host's mount at `source`
    kCgroup,      // the container's own cgroup directories
    kRemount,     // change the attributes of what is mounted at `destination`
  };
  Kind kind = Kind::kFilesystem;
  std::string destination;  // absolute, without ".", ".." and doubled slashes
  std::string type;         // of kFilesystem
  std::string source;

  sys::MountAttributes attributes;            // of the mount itself
  sys::MountAttributes recursive_attributes;  // of it and all below: rro, rprivate, ...
  bool recursive = false;                     // rbind: with the mounts below the source
  bool copy_up = false;                       // fill an empty source from the image first
  bool tmp_copy_up = false;                   // fill a new tmpfs with what the image has there
  // The bind's ids as another user namespace would see them; without mappings of its own those of
  // the container (runtime/create_plan.h).
  bool map_ids = false, map_ids_below = false;
  std::vector<oci::IdMapping> uid_mappings, gid_mappings;

  // The SELinux context of all that is in a new file system; empty: what the policy says. The
  // container's linux.mountLabel (runtime/create_plan.h).
  std::string label;

  // Parameters for fsconfig; nullopt: a flag.
  std::vector<std::pair<std::string, std::optional<std::string>>> data;

  bool read_only() const;
};

// "/a/./b//../c" -> "/a/c"; ".." never leaves "/". nullopt when not absolute or with a NUL byte.
std::optional<std::string> clean_path(std::string_view path);

// kInvalidArgument names the mount and the option: "cannot mount '/data': unknown option 'foo'".
Result<MountStep> plan_mount(const oci::Mount& mount);
Result<std::vector<MountStep>> plan_mounts(const std::vector<oci::Mount>& mounts);

// The rootfsPropagation of a specification as MS_ bits; empty is private.
Result<uint64_t> plan_root_propagation(const std::string& name);

// Every word that is not data, for the features of the runtime.
std::vector<std::string> known_mount_options();

// Whether something may be mounted below /proc at `destination`: only the files that report
// resources (as lxcfs provides them) may be covered; anything else could redirect what the kernel
// is told.
bool may_cover_in_proc(std::string_view destination);

}  // namespace wherry::runtime
