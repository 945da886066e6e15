#include "store/upper.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>

#include "store/tree_file.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr size_t kOpenLevels = 64;
constexpr size_t kMaxXattrList = 64u << 10;
constexpr const char* kRedirect = "trusted.overlay.redirect";
constexpr const char* kMetacopy = "trusted.overlay.metacopy";

Error failed(std::string_view path) {
  return Error::from_errno(errno, "cannot read " + shown_path(path));
}

// It is not there any more, or something else is.
bool vanished(int error) {
  return error == ENOENT || error == ENOTDIR || error == ELOOP || error == ESTALE || error == ENXIO;
}

tree::Type type_of(mode_t mode) {
  switch (mode & S_IFMT) {
    case S_IFDIR:
      return tree::Type::kDirectory;
    case S_IFLNK:
      return tree::Type::kSymlink;
    case S_IFCHR:
      return tree::Type::kCharDevice;
    case S_IFBLK:
      return tree::Type::kBlockDevice;
    case S_IFIFO:
      return tree::Type::kFifo;
    case S_IFSOCK:
      return tree::Type::kSocket;
    default:
      return tree::Type::kFile;
  }
}

Result<void> refuse_mark(int fd, const char* mark, std::string_view path) {
  if (fgetxattr(fd, mark, nullptr, 0) < 0) return {};
  return Error(ErrorKind::kUnsupported,
               shown_path(path) + " refers to other layers ('" + mark + "')")
      .set_hint("it was made by an overlay mount with redirect_dir or metacopy on");
}

}  // namespace

Result<const tree::Entry*> UpperReader::next() {
  if (!begun_) {
    begun_ = true;
    TRY(sys::Fd root, sys::open_at(upper_, ".", O_RDONLY | O_DIRECTORY));
    TRY_VOID(enter("", std::move(root)));
  }
  while (!levels_.empty()) {
    Level& level = levels_.back();
    if (level.next == level.names.size()) {
      levels_.pop_back();
      continue;
    }
    const std::string name = level.names[level.next++];
    TRY(const bool told, look_at(name));
    if (told) return &entry_;
  }
  return nullptr;
}

Result<void> UpperReader::enter(std::string path, sys::Fd fd) {
  Level level;
  TRY_CTX(level.names, sys::list_dir(fd.get()), "cannot read " + shown_path(path));
  if (!stubs_.places.empty() && (path.empty() || stubs_.parents.contains(path))) {
    std::vector<std::string> names;
    const std::string prefix = path.empty() ? path : path + "/";
    for (std::string& name : level.names) {
      TRY(const bool stub, is_stub(fd.get(), name, std::string(prefix).append(name)));
      if (!stub) names.push_back(std::move(name));
    }
    level.names = std::move(names);
  }
  level.path = std::move(path);
  level.fd = std::move(fd);
  if (levels_.size() >= kOpenLevels) levels_[levels_.size() - kOpenLevels].fd.reset();
  levels_.push_back(std::move(level));
  return {};
}

Result<bool> UpperReader::is_stub(int dir, const std::string& name, const std::string& path) {
  if (!stubs_.places.contains(path)) return false;
  struct stat info{};
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0) return vanished(errno);
  if (S_ISREG(info.st_mode)) return info.st_size == 0;
  if (!S_ISDIR(info.st_mode)) return false;
  Result<sys::Fd> below = sys::open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!below) return vanished(below.error().errnum());
  TRY(const std::vector<std::string> names, sys::list_dir(below->get()));
  return names.empty();
}

Result<int> UpperReader::current() {
  Level& level = levels_.back();
  if (level.fd) return level.fd.get();
  Result<sys::Fd> again = sys::open_without_links(upper_, level.path.empty() ? "." : level.path,
                                                  O_RDONLY | O_DIRECTORY);
  if (!again && vanished(again.error().errnum())) return -1;
  if (!again) return fail(std::move(again), "cannot read " + shown_path(level.path));
  level.fd = std::move(*again);
  return level.fd.get();
}

// True: entry_ is to be told.
Result<bool> UpperReader::look_at(const std::string& name) {
  TRY(const int dir, current());
  if (dir < 0) return false;
  const std::string& parent = levels_.back().path;
  path_ = parent.empty() ? name : parent + "/" + name;
  if (path_.size() > tree::kMaxPath)
    return Error(ErrorKind::kResourceExhausted,
                 shown_path(path_) + ": the name is longer than 4095 bytes");
  file_.reset();
  xattrs_.clear();
  entry_ = {.path = path_};
  struct stat info{};
  if (fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0)
    return vanished(errno) ? Result<bool>(false) : failed(path_);
  take(info);
  if (entry_.type == tree::Type::kDirectory) return look_at_directory(dir, name);
  if (entry_.type == tree::Type::kFile) return look_at_file(dir, name);
  if (entry_.type == tree::Type::kSymlink) return look_at_link(dir, name, info);
  if (entry_.type != tree::Type::kWhiteout) number(info);
  return true;
}

void UpperReader::take(const struct stat& info) {
  entry_.type = type_of(info.st_mode);
  if (S_ISCHR(info.st_mode) && info.st_rdev == 0) {
    entry_.type = tree::Type::kWhiteout;
    return;
  }
  entry_.mode = info.st_mode & 07777;
  entry_.uid = info.st_uid;
  entry_.gid = info.st_gid;
  entry_.mtime_s = info.st_mtim.tv_sec;
  entry_.mtime_ns = static_cast<uint32_t>(info.st_mtim.tv_nsec);
  if (S_ISREG(info.st_mode)) entry_.size = static_cast<uint64_t>(info.st_size);
  if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode)) {
    entry_.device_major = major(info.st_rdev);
    entry_.device_minor = minor(info.st_rdev);
  }
}

// Only of what is told: numbers come in order.
void UpperReader::number(const struct stat& info) {
  if (info.st_nlink < 2) return;
  const auto next = static_cast<uint32_t>(inodes_.size() + 1);
  entry_.inode = inodes_.try_emplace({info.st_dev, info.st_ino}, next).first->second;
}

Result<bool> UpperReader::look_at_directory(int dir, const std::string& name) {
  Result<sys::Fd> opened = sys::open_at(dir, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened && vanished(opened.error().errnum())) return false;
  if (!opened) return fail(std::move(opened), "cannot read " + shown_path(path_));
  TRY_VOID(refuse_mark(opened->get(), kRedirect, path_));
  char mark = 0;
  entry_.opaque = fgetxattr(opened->get(), kOpaque, &mark, 1) == 1 && mark == 'y';
  TRY_VOID(read_xattrs(opened->get()));
  TRY_VOID(enter(path_, std::move(*opened)));
  // The runtime has copied it up for the mount points in it.
  if (!stubs_.parents.contains(path_) || !levels_.back().names.empty() || entry_.opaque ||
      !is_as_before())
    return true;
  levels_.pop_back();
  return false;
}

bool UpperReader::is_as_before() const {
  const Stubs::Directory& before = stubs_.parents.at(path_);
  return before.mode == entry_.mode && before.uid == entry_.uid && before.gid == entry_.gid &&
         before.xattrs == xattrs_;
}

Result<bool> UpperReader::look_at_file(int dir, const std::string& name) {
  // Without O_NONBLOCK a fifo that took its place would hang us.
  Result<sys::Fd> opened = sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!opened && vanished(opened.error().errnum())) return false;
  if (!opened) return fail(std::move(opened), "cannot read " + shown_path(path_));
  struct stat info{};
  if (fstat(opened->get(), &info) != 0) return failed(path_);
  if (!S_ISREG(info.st_mode)) return false;
  entry_ = {.path = path_};
  take(info);
  if (info.st_size > 0 && info.st_blocks == 0)
    TRY_VOID(refuse_mark(opened->get(), kMetacopy, path_));
  TRY_VOID(read_xattrs(opened->get()));
  number(info);
  file_ = std::move(*opened);
  return true;
}

Result<bool> UpperReader::look_at_link(int dir, const std::string& name, const struct stat& info) {
  target_.resize(tree::kMaxTarget + 1);
  const ssize_t size = readlinkat(dir, name.c_str(), target_.data(), target_.size());
  if (size < 0) return vanished(errno) || errno == EINVAL ? Result<bool>(false) : failed(path_);
  target_.resize(static_cast<size_t>(size));
  entry_.target = target_;
  number(info);
  return true;
}

Result<void> UpperReader::read_xattrs(int fd) {
  char names[kMaxXattrList];
  const ssize_t size = flistxattr(fd, names, sizeof names);
  if (size < 0 && errno == EOPNOTSUPP) return {};
  if (size < 0) return failed(path_);
  for (const char* name = names; name < names + size; name += std::string_view(name).size() + 1) {
    if (!tree::is_xattr_kept(entry_.type, name)) continue;
    std::string value(tree::kMaxXattrBytes, '\0');
    const ssize_t length = fgetxattr(fd, name, value.data(), value.size());
    if (length < 0 && errno == ENODATA) continue;
    if (length < 0) return failed(path_);
    value.resize(static_cast<size_t>(length));
    xattrs_.emplace_back(name, std::move(value));
  }
  std::ranges::sort(xattrs_);
  for (const auto& [name, value] : xattrs_) entry_.xattrs.push_back({name, value});
  return {};
}

}  // namespace wherry::store
