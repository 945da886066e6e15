#include "sys/overlay.h"

#include <fcntl.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <optional>

#include "sys/erofs_root.h"
#include "sys/mount.h"

namespace wherry::sys {
namespace {

// The kernel takes at most 255 bytes in one fsconfig string.
constexpr size_t kParameterLimit = 255;
// Of one value, and of a list of names.
constexpr size_t kMaxAttributes = 64u << 10;

// A short name for what is too long for one parameter: its fd's.
Result<void> set_path(Filesystem& filesystem, const char* key, const std::string& path,
                      std::vector<Fd>& named) {
  if (path.size() <= kParameterLimit) return filesystem.set(key, path);
  TRY(Fd opened, open_file(path, O_PATH));
  TRY_VOID(filesystem.set(key, "/proc/self/fd/" + std::to_string(opened.get())));
  named.push_back(std::move(opened));
  return {};
}

// What images may have, and not what steers overlay itself.
Result<void> copy_user_attributes(int from, int to) {
  char names[kMaxAttributes];
  const ssize_t size = flistxattr(from, names, sizeof names);
  if (size < 0 && errno == EOPNOTSUPP) return {};
  if (size < 0) return Error::from_errno(errno, "cannot list its attributes");
  for (const char* name = names; name < names + size; name += std::string_view(name).size() + 1) {
    const std::string_view word = name;
    if (!word.starts_with("user.") || word.starts_with("user.overlay.")) continue;
    std::string value(kMaxAttributes, '\0');
    const ssize_t length = fgetxattr(from, name, value.data(), value.size());
    if (length < 0 || fsetxattr(to, name, value.data(), static_cast<size_t>(length), 0) != 0)
      return Error::from_errno(errno, "cannot copy the attribute '" + std::string(word) + "'");
  }
  return {};
}

Result<void> set_metadata_of(int directory, const struct stat& info, const std::string& context) {
  const timespec times[2] = {info.st_mtim, info.st_mtim};
  if (fchown(directory, info.st_uid, info.st_gid) != 0 ||
      fchmod(directory, info.st_mode & 07777) != 0 || futimens(directory, times) != 0)
    return Error::from_errno(errno, context);
  return {};
}

Result<void> set_metadata(Filesystem& filesystem, const Overlay& overlay, OverlayMount& made) {
  TRY_CTX(made.metadata, mount_erofs(overlay.metadata), "cannot mount '" + overlay.metadata + "'");
  TRY_VOID(filesystem.set_fd("lowerdir+", made.metadata.get()));
  TRY(Fd objects, open_file(overlay.objects, O_PATH | O_DIRECTORY));
  return filesystem.set_fd("datadir+", objects.get());
}

}  // namespace

Result<Fd> mount_erofs(const std::string& file) {
  TRY(Fd image, open_file(file, O_RDONLY | O_NOFOLLOW));
  TRY(Filesystem erofs, Filesystem::open("erofs"));
  TRY_VOID(erofs.set("source", "/proc/self/fd/" + std::to_string(image.get())));
  TRY_VOID(erofs.set_flag("ro"));
  return erofs.mount(MOUNT_ATTR_RDONLY);
}

Result<OverlayMount> mount_overlay(const Overlay& overlay) {
  OverlayMount made;
  std::vector<Fd> named;
  TRY(Filesystem filesystem, Filesystem::open("overlay"));
  for (const std::string& layer : overlay.lower)
    TRY_VOID(set_path(filesystem, "lowerdir+", layer, named));
  if (!overlay.metadata.empty()) TRY_VOID(set_metadata(filesystem, overlay, made));
  if (!overlay.upper.empty()) {
    TRY_VOID(set_path(filesystem, "upperdir", overlay.upper, named));
    TRY_VOID(set_path(filesystem, "workdir", overlay.work, named));
  }
  for (auto [key, value] : kPortableOverlay) TRY_VOID(filesystem.set(key, value));
  if (overlay.volatile_upper) TRY_VOID(filesystem.set_flag("volatile"));
  TRY_VOID(filesystem.set("source", "overlay"));
  TRY(made.mount, filesystem.mount(0));
  return made;
}

Result<void> inherit_lower_root(const std::vector<std::string>& lower, const std::string& metadata,
                                int upper) {
  const std::string context =
      "cannot take over the root directory of '" + (lower.empty() ? metadata : lower[0]) + "'";
  if (lower.empty()) {
    TRY_CTX(const std::optional<struct stat> plain, erofs_root(metadata), context);
    if (plain) return set_metadata_of(upper, *plain, context);
  }
  TRY_CTX(Fd place,
          lower.empty() ? mount_erofs(metadata) : open_file(lower[0], O_PATH | O_DIRECTORY),
          context);
  TRY_CTX(Fd root, open_at(place.get(), ".", O_RDONLY | O_DIRECTORY), context);
  struct stat info{};
  if (fstat(root.get(), &info) != 0) return Error::from_errno(errno, context);
  TRY_VOID_CTX(copy_user_attributes(root.get(), upper), context);
  return set_metadata_of(upper, info, context);
}

}  // namespace wherry::sys
