#include "store/tree_file_look.h"

#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <limits>
#include <vector>

#include "store/objects.h"
#include "store/tree_file.h"

namespace wherry::store {
namespace {

Error failed(std::string_view action, std::string_view path) {
  return Error::from_errno(errno, "cannot " + std::string(action) + " " + shown_path(path));
}

bool is_device(tree::Type type) {
  return type == tree::Type::kCharDevice || type == tree::Type::kBlockDevice ||
         type == tree::Type::kWhiteout;
}

// Of attributes, those that make a difference in a container; a machine may add others by itself.
bool counts(tree::Type type, std::string_view name) {
  return tree::is_xattr_kept(type, name) || name.starts_with("user.") ||
         name.starts_with("trusted.overlay.") || name == "security.capability" ||
         name.starts_with("system.posix_acl_");
}

Result<std::vector<std::string>> attributes_of(int fd, const tree::Entry& entry) {
  std::string list(std::numeric_limits<uint16_t>::max() + 1, '\0');
  ssize_t size = flistxattr(fd, list.data(), list.size());
  if (size < 0 && errno == EOPNOTSUPP) size = 0;
  if (size < 0) return failed("read the attributes of", entry.path);
  std::vector<std::string> names;
  for (size_t at = 0; at < static_cast<size_t>(size); at += names.back().size() + 1)
    names.emplace_back(list.c_str() + at);
  std::erase_if(names, [&](const std::string& name) { return !counts(entry.type, name); });
  std::ranges::sort(names);
  return names;
}

Result<bool> has_attributes(int fd, const tree::Entry& entry) {
  TRY(const std::vector<std::string> names, attributes_of(fd, entry));
  std::vector<tree::Xattr> expected = entry.xattrs;
  if (entry.opaque) expected.push_back({kOpaque, "y"});
  std::ranges::sort(expected, {}, &tree::Xattr::name);
  if (!std::ranges::equal(names, expected, {}, {}, &tree::Xattr::name)) return false;
  for (const tree::Xattr& xattr : expected) {
    std::string value(xattr.value.size() + 1, '\0');
    ssize_t got = fgetxattr(fd, std::string(xattr.name).c_str(), value.data(), value.size());
    if (got < 0 && errno != ERANGE) return failed("read the attributes of", entry.path);
    if (got < 0 || value.substr(0, static_cast<size_t>(got)) != xattr.value) return false;
  }
  return true;
}

timespec mark_of(const tree::Entry& entry) {
  return {entry.mtime_s == 2 ? 3 : 2, 0};
}

bool has_time_of(const tree::Entry& entry, const struct stat& info) {
  const timespec mark = mark_of(entry);
  if (info.st_mtim.tv_sec == mark.tv_sec && info.st_mtim.tv_nsec == 0) return false;
  // What not all file systems can keep.
  if (entry.mtime_s < 0 || entry.mtime_s > std::numeric_limits<int32_t>::max()) return true;
  return info.st_mtim.tv_sec == entry.mtime_s &&
         (info.st_mtim.tv_nsec == 0 || info.st_mtim.tv_nsec == long{entry.mtime_ns});
}

Result<bool> has_target(const tree::Entry& entry, int dir, const std::string& name) {
  std::array<char, tree::kMaxTarget + 1> target;
  ssize_t got = readlinkat(dir, name.c_str(), target.data(), target.size());
  if (got < 0) return failed("read", entry.path);
  return std::string_view(target.data(), static_cast<size_t>(got)) == entry.target;
}

}  // namespace

std::string_view metadata_difference(const tree::Entry& entry, const struct stat& info) {
  if ((info.st_mode & S_IFMT) != type_bits(entry.type)) return "is something else";
  if (is_device(entry.type) && info.st_rdev != makedev(entry.device_major, entry.device_minor))
    return "is another device";
  if (entry.type == tree::Type::kWhiteout) return {};
  if (info.st_uid != entry.uid || info.st_gid != entry.gid) return "has another owner";
  if (entry.type != tree::Type::kSymlink && (info.st_mode & 07777) != entry.mode)
    return "has another mode";
  if (entry.type == tree::Type::kFile && static_cast<uint64_t>(info.st_size) != entry.size)
    return "has another size";
  if (!has_time_of(entry, info)) return "was changed";
  return {};
}

Result<std::string_view> content_difference(const tree::Entry& entry, int dir,
                                            const std::string& name, uint64_t& read) {
  if (entry.type == tree::Type::kSymlink) {
    TRY(const bool same, has_target(entry, dir, name));
    return same ? std::string_view() : "has another target";
  }
  if (entry.type != tree::Type::kFile && entry.type != tree::Type::kDirectory)
    return std::string_view();
  TRY_CTX(sys::Fd file, sys::open_at(dir, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_NOATIME),
          "cannot open " + shown_path(entry.path));
  if (entry.type == tree::Type::kFile && entry.size > 0) {
    Result<std::string> digest = file_digest(file.get());
    const int error = digest ? 0 : digest.error().errnum();
    if (error == EIO || error == EUCLEAN) return std::string_view("cannot be read");
    if (!digest) return std::move(digest.error());
    read += entry.size;
    if (*digest != object_hex(entry.object)) return std::string_view("has another content");
  }
  TRY(const bool same, has_attributes(file.get(), entry));
  return same ? std::string_view() : "has other attributes";
}

void mark_damaged(int dir, const std::string& name, const tree::Entry& entry) {
  const timespec times[] = {{0, UTIME_OMIT}, mark_of(entry)};
  utimensat(dir, name.c_str(), times, AT_SYMLINK_NOFOLLOW);
}

}  // namespace wherry::store
