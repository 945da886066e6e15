// The new mount API as typed calls: file systems are configured and mounted as detached mounts that
// live in fds, and appear in a mount namespace only when they are moved onto an opened directory.
// No path is used twice, and the host's mount table never sees what belongs to a container.
//
// Not here: what to mount where (runtime/mount_plan.h). All fds are close-on-exec.
// Sources: fsopen(2), fsconfig(2), fsmount(2), open_tree(2), move_mount(2), mount_setattr(2).
#pragma once

#include <cstdint>
#include <string>

#include "sys/fd.h"

namespace wherry::sys {

// A file system being configured. A parameter that the kernel does not know is refused by name,
// with what the kernel's log of this context says.
class Filesystem {
 public:
  // kUnsupported when the kernel has no such type.
  static Result<Filesystem> open(const std::string& type);

  // fsconfig(FSCONFIG_SET_STRING): values of at most 255 bytes, a limit of the kernel.
  Result<void> set(const std::string& key, const std::string& value);
  Result<void> set_flag(const std::string& key);
  // fsconfig(FSCONFIG_SET_FD): a directory, file or mount by its descriptor (borrowed); its path
  // may have any length, or none.
  Result<void> set_fd(const std::string& key, int fd);
  // Makes the superblock and a detached mount of it with these MOUNT_ATTR_ bits.
  Result<Fd> mount(uint64_t attributes);
  // After mount(): changes the superblock with the parameters set since.
  Result<void> reconfigure();

 private:
  Filesystem(Fd context, std::string type) : context_(std::move(context)), type_(std::move(type)) {}
  Error failure(int errnum, const std::string& what) const;

  Fd context_;
  std::string type_;
};

// A detached copy of the mount at `dir`/`path` (path "": at `dir` itself); symlinks at the end are
// not followed. Recursive: with all mounts below it.
Result<Fd> clone_mount(int dir, const std::string& path, bool recursive);
// As clone_mount with a trusted path whose symlinks are followed.
Result<Fd> clone_mount_of(const std::string& path, bool recursive);

// Attaches a detached mount on what `target` names (a directory on a directory, a file on a file).
Result<void> attach_mount(int mount, int target);

struct MountAttributes {
  uint64_t set = 0;
  uint64_t clear = 0;
  uint64_t propagation = 0;  // MS_PRIVATE, MS_SLAVE, MS_SHARED, MS_UNBINDABLE or 0: unchanged
};
Result<void> change_mount(int mount, const MountAttributes& change, bool recursive);

// The ids on a detached mount become those that the user namespace maps them to.
Result<void> map_mount_ids(int mount, int user_namespace, bool recursive);

// Every mount of the calling process's namespace becomes private: nothing reaches the host.
Result<void> make_all_mounts_private();

// `root`, a mount in this namespace, becomes "/", and the old root with everything below it is
// detached.
Result<void> pivot_into(int root);
// For an old root that cannot be pivoted from (ramfs): `root` is moved over "/" and becomes the
// process's own root. What is below it in the mount table stays there, out of reach.
Result<void> move_root_into(int root);

}  // namespace wherry::sys
