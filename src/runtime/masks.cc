#include "runtime/masks.h"

#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cerrno>
#include <optional>

#include "base/weaken.h"
#include "runtime/devices.h"
#include "runtime/root.h"
#include "runtime/targets.h"
#include "sys/mount.h"

namespace wherry::runtime {
namespace {

constexpr uint64_t kInert = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

// The covers, as two detached mounts of one read-only tmpfs. One superblock for all masks: a tmpfs
// for each costs 15 to 30 us more (docs/design/start.md).
struct Covers {
  sys::Fd directory;
  sys::Fd file;
};

// A null device of our own. Where nodes may not be made it is only a place for the host's.
Result<void> make_null(int directory, bool own) {
  if (own) {
    if (mknodat(directory, "null", S_IFCHR | 0666, makedev(1, 3)) == 0) return {};
    return Error::from_errno(errno, "cannot make a null device");
  }
  const sys::Fd place(openat(directory, "null", O_CREAT | O_EXCL | O_WRONLY | O_CLOEXEC, 0600));
  if (!place) return Error::from_errno(errno, "cannot make a place for a null device");
  return {};
}

Result<Covers> make_covers(sys::Fd host_null, const std::string& label) {
  TRY(sys::Filesystem tmpfs, sys::Filesystem::open("tmpfs"));
  TRY_VOID(tmpfs.set("mode", "755"));
  if (!label.empty()) TRY_VOID(tmpfs.set("context", label));
  TRY(sys::Fd mount, tmpfs.mount(0));
  if (mkdirat(mount.get(), "empty", 0755) != 0)
    return Error::from_errno(errno, "cannot make an empty directory");
  TRY_VOID(make_null(mount.get(), !host_null));
  TRY_VOID(tmpfs.set_flag("ro"));
  TRY_VOID(tmpfs.reconfigure());
  // Parked first: before Linux 6.15 only what lies in our mount namespace can be cloned.
  TRY_VOID(park_mount(mount.get()));
  Covers covers;
  TRY(covers.directory, sys::clone_mount(mount.get(), "empty", false));
  TRY_VOID(sys::change_mount(covers.directory.get(), {.set = kInert | MOUNT_ATTR_NODEV}, false));
  if (host_null) {
    covers.file = std::move(host_null);
  } else {
    TRY(covers.file, sys::clone_mount(mount.get(), "null", false));
  }
  TRY_VOID(sys::change_mount(covers.file.get(), {.set = kInert}, false));
  if (!is_null_device(covers.file.get()))
    return Error(ErrorKind::kInternal, "the null device that was made is not one");
  // The clones hang where they were cloned from, so that all three go with the host's tree.
  TRY(sys::Fd empty, sys::open_at(mount.get(), "empty", O_PATH));
  TRY_VOID(sys::attach_mount(covers.directory.get(), empty.get()));
  TRY(sys::Fd null, sys::open_at(mount.get(), "null", O_PATH));
  TRY_VOID(sys::attach_mount(covers.file.get(), null.get()));
  return covers;
}

// The existing place at `path`, or nullopt.
Result<std::optional<sys::Fd>> existing(int root, const std::string& path) {
  Result<sys::Fd> found = sys::open_in_root(root, path, O_PATH);
  if (found) return std::optional<sys::Fd>(std::move(*found));
  if (found.error().errnum() == ENOENT || found.error().errnum() == ENOTDIR) return std::nullopt;
  return Error(std::move(found.error()));
}

Result<void> cover(int target, const Covers& covers) {
  TRY(bool directory, is_directory(target));
  const sys::Fd& source = directory ? covers.directory : covers.file;
  TRY(sys::Fd clone, sys::clone_mount(source.get(), "", false));
  return sys::attach_mount(clone.get(), target);
}

Result<void> remount_read_only(int target) {
  TRY(sys::Fd clone, sys::clone_mount(target, "", true));
  TRY_VOID(sys::change_mount(clone.get(), {.set = MOUNT_ATTR_RDONLY}, true));
  return sys::attach_mount(clone.get(), target);
}

}  // namespace

Result<void> mask_paths(int root, const std::vector<std::string>& paths, sys::Fd host_null,
                        const std::string& label) {
  if (paths.empty() || weakened(Defence::kMasks)) return {};
  TRY_CTX(Covers covers, make_covers(std::move(host_null), label), "cannot mask paths");
  if (weakened(Defence::kNullDevice)) {
    TRY(sys::Fd null, sys::open_in_root(root, "/dev/null", O_PATH));
    TRY(covers.file, sys::clone_mount(null.get(), "", false));
  }
  for (const std::string& path : paths) {
    std::string context = "cannot mask '" + path + "'";
    TRY_CTX(std::optional<sys::Fd> target, existing(root, path), context);
    if (target) TRY_VOID_CTX(cover(target->get(), covers), context);
  }
  return {};
}

Result<void> make_read_only(int root, const std::vector<std::string>& paths) {
  if (weakened(Defence::kMasks)) return {};
  for (const std::string& path : paths) {
    std::string context = "cannot make '" + path + "' read-only";
    TRY_CTX(std::optional<sys::Fd> target, existing(root, path), context);
    if (target) TRY_VOID_CTX(remount_read_only(target->get()), context);
  }
  return {};
}

}  // namespace wherry::runtime
