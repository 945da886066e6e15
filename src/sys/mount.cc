#include "sys/mount.h"

#include <sys/mount.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string_view>

#include "base/text.h"

namespace wherry::sys {

Result<Filesystem> Filesystem::open(const std::string& type) {
  int context = fsopen(type.c_str(), FSOPEN_CLOEXEC);
  if (context >= 0) return Filesystem(Fd(context), type);
  if (errno == ENODEV)
    return Error(ErrorKind::kUnsupported, "the kernel has no file system '" + type + "'");
  return Error::from_errno(errno, "cannot open a file system of type '" + type + "'");
}

Error Filesystem::failure(int errnum, const std::string& what) const {
  Error error = Error::from_errno(errnum, what);
  // The context keeps the kernel's own words, one message a read, "e overlay: text".
  char text[512];
  ssize_t got = read(context_.get(), text, sizeof text);
  if (got <= 2) return error;
  std::string_view words = trim(std::string_view(text + 2, static_cast<size_t>(got) - 2));
  return Error(error.kind(), error.message() + " (" + std::string(words) + ")").set_errnum(errnum);
}

Result<void> Filesystem::set(const std::string& key, const std::string& value) {
  if (fsconfig(context_.get(), FSCONFIG_SET_STRING, key.c_str(), value.c_str(), 0) == 0) return {};
  return failure(errno, "cannot set '" + key + "=" + value + "' of '" + type_ + "'");
}

Result<void> Filesystem::set_flag(const std::string& key) {
  if (fsconfig(context_.get(), FSCONFIG_SET_FLAG, key.c_str(), nullptr, 0) == 0) return {};
  return failure(errno, "cannot set '" + key + "' of '" + type_ + "'");
}

Result<void> Filesystem::set_fd(const std::string& key, int fd) {
  if (fsconfig(context_.get(), FSCONFIG_SET_FD, key.c_str(), nullptr, fd) == 0) return {};
  return failure(errno, "cannot set '" + key + "' of '" + type_ + "'");
}

Result<Fd> Filesystem::mount(uint64_t attributes) {
  if (fsconfig(context_.get(), FSCONFIG_CMD_CREATE, nullptr, nullptr, 0) != 0)
    return failure(errno, "cannot make a file system of type '" + type_ + "'");
  int mount = fsmount(context_.get(), FSMOUNT_CLOEXEC, static_cast<unsigned>(attributes));
  if (mount < 0) return failure(errno, "cannot mount a file system of type '" + type_ + "'");
  return Fd(mount);
}

Result<void> Filesystem::reconfigure() {
  if (fsconfig(context_.get(), FSCONFIG_CMD_RECONFIGURE, nullptr, nullptr, 0) == 0) return {};
  return failure(errno, "cannot reconfigure a file system of type '" + type_ + "'");
}

Result<Fd> clone_mount(int dir, const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_SYMLINK_NOFOLLOW;
  if (path.empty()) flags |= AT_EMPTY_PATH;
  if (recursive) flags |= AT_RECURSIVE;
  int mount = open_tree(dir, path.c_str(), flags);
  if (mount < 0) return Error::from_errno(errno, "cannot clone the mount at '" + path + "'");
  return Fd(mount);
}

Result<Fd> clone_mount_of(const std::string& path, bool recursive) {
  unsigned flags = OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | (recursive ? AT_RECURSIVE : 0);
  int mount = open_tree(AT_FDCWD, path.c_str(), flags);
  if (mount < 0) return Error::from_errno(errno, "cannot clone the mount at '" + path + "'");
  return Fd(mount);
}

Result<void> attach_mount(int mount, int target) {
  if (move_mount(mount, "", target, "", MOVE_MOUNT_F_EMPTY_PATH | MOVE_MOUNT_T_EMPTY_PATH) == 0)
    return {};
  return Error::from_errno(errno, "cannot attach the mount");
}

Result<void> change_mount(int mount, const MountAttributes& change, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = change.set;
  attributes.attr_clr = change.clear;
  attributes.propagation = change.propagation;
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (mount_setattr(mount, "", flags, &attributes, sizeof attributes) == 0) return {};
  return Error::from_errno(errno, "cannot change the mount's attributes");
}

Result<void> map_mount_ids(int mount, int user_namespace, bool recursive) {
  mount_attr attributes{};
  attributes.attr_set = MOUNT_ATTR_IDMAP;
  attributes.userns_fd = static_cast<uint64_t>(user_namespace);
  unsigned flags = AT_EMPTY_PATH | (recursive ? AT_RECURSIVE : 0);
  if (mount_setattr(mount, "", flags, &attributes, sizeof attributes) == 0) return {};
  return Error::from_errno(errno, "cannot map the mount's ids");
}

Result<void> make_all_mounts_private() {
  if (::mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) == 0) return {};
  return Error::from_errno(errno, "cannot make the mounts private");
}

Result<void> pivot_into(int root) {
  if (fchdir(root) != 0) return Error::from_errno(errno, "cannot enter the new root");
  // Old and new root in one place: no directory for the old one is needed (pivot_root(2)).
  if (syscall(SYS_pivot_root, ".", ".") != 0)
    return Error::from_errno(errno, "cannot change the root");
  if (umount2(".", MNT_DETACH) != 0) return Error::from_errno(errno, "cannot detach the old root");
  if (chdir("/") != 0) return Error::from_errno(errno, "cannot enter '/'");
  return {};
}

Result<void> move_root_into(int root) {
  if (fchdir(root) != 0) return Error::from_errno(errno, "cannot enter the new root");
  if (::mount(".", "/", nullptr, MS_MOVE, nullptr) != 0)
    return Error::from_errno(errno, "cannot move the new root over the old one");
  if (chroot(".") != 0) return Error::from_errno(errno, "cannot change the root");
  if (chdir("/") != 0) return Error::from_errno(errno, "cannot enter '/'");
  return {};
}

}  // namespace wherry::sys
