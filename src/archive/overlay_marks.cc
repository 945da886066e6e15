// What only CAP_SYS_ADMIN may see of an overlay's upper directory: its trusted.* attributes.
#include <fmt/format.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <cerrno>
#include <vector>

#include "archive/pack.h"
#include "archive/tree_writer.h"
#include "archive/unpack.h"
#include "sys/file.h"

namespace wherry::archive {
namespace {

// Nothing when the attribute is not there.
Result<std::string> attribute(int fd, const char* name, const std::string& path) {
  char value[kMaxPath + 1];
  ssize_t size = fgetxattr(fd, name, value, sizeof value);
  if (size >= 0) return std::string(value, static_cast<size_t>(size));
  if (errno == ENODATA || errno == EOPNOTSUPP) return std::string();
  return Error::from_errno(
      errno, "cannot read attribute '" + std::string(name) + "' of '" + shown(path) + "'");
}

Error refers_elsewhere(const std::string& path, const char* attribute) {
  return Error(ErrorKind::kUnsupported,
               "'" + shown(path) + "' refers to other layers ('" + attribute + "')")
      .set_hint("it was made by an overlay mount with redirect_dir or metacopy on");
}

// A file whose content stayed in a lower layer has a size and no blocks, as has one hole.
Result<void> check_file(int dir, const std::string& name, const std::string& path) {
  constexpr const char* kMetacopy = "trusted.overlay.metacopy";
  TRY_CTX(sys::Fd file, sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK),
          "cannot open '" + shown(path) + "'");
  if (fgetxattr(file.get(), kMetacopy, nullptr, 0) >= 0) return refers_elsewhere(path, kMetacopy);
  return {};
}

class Finder {
 public:
  explicit Finder(int root) : root_(root) {}

  Result<OpaqueDirectories> run() {
    std::vector<std::string> left{""};
    while (!left.empty()) {
      std::string path = std::move(left.back());
      left.pop_back();
      TRY_VOID(look_at(path, left));
    }
    return std::move(found_);
  }

 private:
  Result<void> look_at(const std::string& path, std::vector<std::string>& left) {
    if (path.size() > kMaxPath)
      return Error(ErrorKind::kResourceExhausted,
                   "'" + shown(path) + "': the name is longer than 4095 bytes");
    TRY_CTX(
        sys::Fd dir,
        sys::open_beneath(root_, path.empty() ? "." : path, O_RDONLY | O_DIRECTORY | O_NOFOLLOW),
        "cannot open '" + shown(path) + "'");
    TRY(std::string opaque, attribute(dir.get(), "trusted.overlay.opaque", path));
    if (opaque == "y") found_.insert(path);
    constexpr const char* kRedirect = "trusted.overlay.redirect";
    TRY(std::string redirect, attribute(dir.get(), kRedirect, path));
    if (!redirect.empty()) return refers_elsewhere(path, kRedirect);
    TRY_CTX(std::vector<std::string> names, sys::list_dir(dir.get()),
            "cannot list '" + shown(path) + "'");
    for (const std::string& name : names) {
      std::string below = path.empty() ? name : fmt::format("{}/{}", path, name);
      struct stat info{};
      if (fstatat(dir.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
        return Error::from_errno(errno, "cannot look at '" + shown(below) + "'");
      if (S_ISDIR(info.st_mode)) {
        left.push_back(std::move(below));
      } else if (S_ISREG(info.st_mode) && info.st_size > 0 && info.st_blocks == 0) {
        TRY_VOID(check_file(dir.get(), name, below));
      }
    }
    return {};
  }

  int root_;
  OpaqueDirectories found_;
};

}  // namespace

Result<OpaqueDirectories> find_opaque(int root) {
  return Finder(root).run();
}

}  // namespace wherry::archive
