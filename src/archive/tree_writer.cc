#include "archive/tree_writer.h"

#include <fcntl.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "archive/unpack.h"
#include "base/text.h"
#include "sys/file.h"

namespace wherry::archive {
namespace {

constexpr size_t kShown = 256;
constexpr int kDirectory = O_RDONLY | O_DIRECTORY | O_NOFOLLOW;

Error failed(std::string_view action, const std::string& path) {
  return Error::from_errno(errno, "cannot " + std::string(action) + " '" + shown(path) + "'");
}

// parent and last name of "a/b/c".
std::pair<std::string, std::string> split_path(const std::string& path) {
  size_t slash = path.rfind('/');
  if (slash == std::string::npos) return {"", path};
  return {path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace

std::string shown(std::string_view name) {
  std::string text;
  for (char c : name.substr(0, kShown)) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f && c != '\\') {
      text += c;
      continue;
    }
    char escaped[8];
    snprintf(escaped, sizeof escaped, "\\x%02x", byte);
    text += c == '\\' ? "\\\\" : escaped;
  }
  if (name.size() > kShown) text += "...";
  return text;
}

Result<sys::Fd> TreeWriter::make_parents(const std::string& parent) {
  std::string so_far;
  TRY(sys::Fd current, sys::open_in_root(root_, ".", O_PATH | O_DIRECTORY));
  for (std::string_view part : split(parent, '/')) {
    std::string name(part);
    if (!so_far.empty()) so_far += '/';
    so_far += name;
    if (mkdirat(current.get(), name.c_str(), 0755) != 0 && errno != EEXIST)
      return failed("make directory", so_far);
    // From the root each time: a symlink on the way is resolved as if the root were "/".
    TRY_CTX(current, sys::open_in_root(root_, so_far, O_PATH | O_DIRECTORY),
            "cannot enter '" + shown(so_far) + "'");
  }
  return current;
}

Result<TreeWriter::Place> TreeWriter::place_of(const std::string& path) {
  auto [parent, name] = split_path(path);
  if (!cached_parent_ || parent != cached_path_) {
    cached_parent_.reset();
    Result<sys::Fd> opened =
        sys::open_in_root(root_, parent.empty() ? "." : parent, O_PATH | O_DIRECTORY);
    if (!opened && opened.error().errnum() == ENOENT) opened = make_parents(parent);
    if (!opened) return fail(std::move(opened), "cannot enter '" + shown(parent) + "'");
    cached_parent_ = std::move(*opened);
    cached_path_ = parent;
  }
  return Place{cached_parent_.get(), name};
}

Result<TreeWriter::Place> TreeWriter::vacate(const std::string& path) {
  TRY(Place place, place_of(path));
  struct stat info{};
  if (fstatat(place.parent, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) {
    if (errno == ENOENT) return place;
    return failed("look at", path);
  }
  TRY_VOID_CTX(sys::remove_tree_at(place.parent, place.name),
               "cannot replace '" + shown(path) + "'");
  forget_parent();
  ++replaced_;
  return place;
}

Result<void> TreeWriter::set_xattrs(int fd, const std::string& path, const Metadata& metadata) {
  for (const auto& [name, value] : metadata.xattrs) {
    if (fsetxattr(fd, name.c_str(), value.data(), value.size(), 0) == 0) continue;
    if (errno != EOPNOTSUPP && errno != EPERM)
      return failed("set attribute '" + shown(name) + "' of", path);
    ++xattrs_lost_;
  }
  return {};
}

Result<void> TreeWriter::ensure_directory(const std::string& path) {
  if (path.empty()) return {};
  TRY(Place place, place_of(path));
  if (mkdirat(place.parent, place.name.c_str(), 0755) == 0) return {};
  if (errno != EEXIST) return failed("make directory", path);
  struct stat info{};
  if (fstatat(place.parent, place.name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("look at", path);
  if (S_ISDIR(info.st_mode)) return {};
  TRY_VOID_CTX(sys::remove_tree_at(place.parent, place.name),
               "cannot replace '" + shown(path) + "'");
  forget_parent();
  ++replaced_;
  // The name may have been a link that the cached parent was reached through.
  cached_parent_.reset();
  TRY(place, place_of(path));
  if (mkdirat(place.parent, place.name.c_str(), 0755) != 0) return failed("make directory", path);
  return {};
}

Result<void> TreeWriter::directory(const std::string& path, const Metadata& metadata) {
  TRY_VOID(ensure_directory(path));
  sys::Fd opened;
  if (path.empty()) {
    TRY_CTX(opened, sys::open_at(root_, ".", kDirectory), "cannot open the root");
  } else {
    TRY(Place place, place_of(path));
    TRY_CTX(opened, sys::open_at(place.parent, place.name, kDirectory),
            "cannot open '" + shown(path) + "'");
  }
  if (fchown(opened.get(), metadata.uid, metadata.gid) != 0)
    return failed("set the owner of", path);
  TRY_VOID(set_xattrs(opened.get(), path, metadata));
  if (fchmod(opened.get(), metadata.mode) != 0) return failed("set the mode of", path);
  directory_times_.emplace_back(path, metadata.mtime);
  return {};
}

Result<void> TreeWriter::begin_file(const std::string& path, uint64_t size, bool) {
  TRY(Place place, vacate(path));
  TRY_CTX(file_,
          sys::open_at(place.parent, place.name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
          "cannot make '" + shown(path) + "'");
  file_path_ = path;
  file_size_ = size;
  return {};
}

Result<void> TreeWriter::write(std::string_view bytes, uint64_t offset) {
  while (!bytes.empty()) {
    ssize_t written = pwrite(file_.get(), bytes.data(), bytes.size(), static_cast<off_t>(offset));
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return failed("write", file_path_);
    bytes.remove_prefix(static_cast<size_t>(written));
    offset += static_cast<uint64_t>(written);
  }
  return {};
}

Result<void> TreeWriter::end_file(const Metadata& metadata) {
  const std::string& path = file_path_;
  sys::Fd file = std::move(file_);
  // A sparse one may end with a hole.
  struct stat info{};
  if (fstat(file.get(), &info) != 0) return failed("look at", path);
  if (static_cast<uint64_t>(info.st_size) != file_size_ &&
      ftruncate(file.get(), static_cast<off_t>(file_size_)) != 0)
    return failed("size", path);
  // The order matters: chown clears setuid and file capabilities, everything changes times.
  if (fchown(file.get(), metadata.uid, metadata.gid) != 0) return failed("set the owner of", path);
  TRY_VOID(set_xattrs(file.get(), path, metadata));
  if (fchmod(file.get(), metadata.mode) != 0) return failed("set the mode of", path);
  timespec times[2] = {metadata.mtime, metadata.mtime};
  if (futimens(file.get(), times) != 0) return failed("set the time of", path);
  return {};
}

Result<void> TreeWriter::symlink(const std::string& path, const std::string& target,
                                 const Metadata& metadata) {
  TRY(Place place, vacate(path));
  const char* name = place.name.c_str();
  if (symlinkat(target.c_str(), place.parent, name) != 0) return failed("make link", path);
  if (fchownat(place.parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the owner of", path);
  count_lost(metadata);
  timespec times[2] = {metadata.mtime, metadata.mtime};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the time of", path);
  return {};
}

Result<void> TreeWriter::hard_link(const std::string& path, const std::string& target) {
  std::string context = "cannot link '" + shown(path) + "' to '" + shown(target) + "'";
  auto [target_parent, target_name] = split_path(target);
  TRY_CTX(
      sys::Fd from,
      sys::open_in_root(root_, target_parent.empty() ? "." : target_parent, O_PATH | O_DIRECTORY),
      context);
  struct stat info{};
  if (fstatat(from.get(), target_name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return Error::from_errno(errno, context);
  if (S_ISDIR(info.st_mode))
    return Error(ErrorKind::kCorrupt, context + ": the target is a directory");
  if (path == target) return {};
  TRY(Place place, vacate(path));
  if (linkat(from.get(), target_name.c_str(), place.parent, place.name.c_str(), 0) != 0)
    return Error::from_errno(errno, context);
  return {};
}

Result<void> TreeWriter::node(const std::string& path, mode_t type, dev_t device,
                              const Metadata& metadata) {
  TRY(Place place, vacate(path));
  const char* name = place.name.c_str();
  if (mknodat(place.parent, name, type | metadata.mode, device) != 0)
    return failed("make device", path);
  if (fchownat(place.parent, name, metadata.uid, metadata.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the owner of", path);
  // A change of owner clears setuid and setgid. The name is ours since it was made: no link.
  if ((metadata.mode & (S_ISUID | S_ISGID)) != 0 &&
      fchmodat(place.parent, name, metadata.mode, 0) != 0)
    return failed("set the mode of", path);
  count_lost(metadata);
  timespec times[2] = {metadata.mtime, metadata.mtime};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the time of", path);
  return {};
}

Result<void> TreeWriter::whiteout(const std::string& path) {
  TRY(Place place, vacate(path));
  if (mknodat(place.parent, place.name.c_str(), S_IFCHR, makedev(0, 0)) != 0)
    return failed("make whiteout", path);
  return {};
}

Result<void> TreeWriter::opaque(const std::string& path) {
  TRY_VOID(ensure_directory(path));
  if (std::ranges::find(opaque_, path) == opaque_.end()) opaque_.push_back(path);
  if (opaque_.size() <= kMaxOpaque) return {};
  return Error(ErrorKind::kResourceExhausted, "more than 4096 opaque directories");
}

Result<void> TreeWriter::finish() {
  cached_parent_.reset();
  // Setting times changes no other times, so the order is that of the entries and the last one
  // wins.
  for (auto& [path, mtime] : directory_times_) {
    Result<sys::Fd> opened = sys::open_in_root(root_, path.empty() ? "." : path, kDirectory);
    // A later entry may have replaced the directory.
    if (!opened) continue;
    timespec times[2] = {mtime, mtime};
    if (futimens(opened->get(), times) != 0) return failed("set the time of", path);
  }
  return {};
}

}  // namespace wherry::archive
