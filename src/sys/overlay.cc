#include "sys/overlay.h"

#include <sys/mount.h>

#include <cerrno>

#include "sys/mount.h"

namespace wherry::sys {
namespace {

// The kernel takes at most 255 bytes in one fsconfig string.
constexpr size_t kParameterLimit = 255;

// A short name for what is too long for one parameter: its fd's.
Result<void> set_path(Filesystem& filesystem, const char* key, const std::string& path,
                      std::vector<Fd>& named) {
  if (path.size() <= kParameterLimit) return filesystem.set(key, path);
  TRY(Fd opened, open_file(path, O_PATH));
  TRY_VOID(filesystem.set(key, "/proc/self/fd/" + std::to_string(opened.get())));
  named.push_back(std::move(opened));
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

Result<struct stat> lower_root(const std::vector<std::string>& lower, const std::string& metadata) {
  const std::string& shown = lower.empty() ? metadata : lower[0];
  struct stat info{};
  if (lower.empty()) {
    TRY_CTX(Fd image, mount_erofs(metadata), "cannot read the root directory of '" + shown + "'");
    if (fstat(image.get(), &info) == 0) return info;
  } else if (stat(lower[0].c_str(), &info) == 0) {
    return info;
  }
  return Error::from_errno(errno, "cannot read the root directory '" + shown + "'");
}

}  // namespace wherry::sys
