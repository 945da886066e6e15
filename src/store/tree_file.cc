#include "store/tree_file.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/xattr.h>

#include <algorithm>
#include <cerrno>
#include <span>
#include <vector>

#include "base/failpoint.h"
#include "base/text.h"

namespace wherry::store {
namespace {

constexpr size_t kShown = 256;
// Up to here a file is read and written; above, the kernel copies and holes are kept.
constexpr uint64_t kSmall = 65536;
constexpr const char* kHeal = "load or pull the image again";

Error failed(std::string_view action, std::string_view path) {
  return Error::from_errno(errno, "cannot " + std::string(action) + " " + shown_path(path));
}

Error damaged(const tree::Entry& entry, const std::string& how) {
  return Error(ErrorKind::kCorrupt, "the content of " + shown_path(entry.path) + " (object '" +
                                        to_hex(entry.object) + "') " + how)
      .set_hint(kHeal);
}

Error too_short(const tree::Entry& entry, uint64_t size) {
  return damaged(entry, "is damaged: it has " + std::to_string(size) + " of " +
                            std::to_string(entry.size) + " bytes");
}

Result<sys::Fd> open_object(int objects, const tree::Entry& entry) {
  Result<sys::Fd> object =
      sys::open_at(objects, object_name(entry.object), O_RDONLY | O_NOFOLLOW | O_NONBLOCK);
  if (!object && object.error().errnum() == ENOENT) return damaged(entry, "is missing");
  if (!object)
    return fail(std::move(object), "cannot read the content of " + shown_path(entry.path));
  struct stat info{};
  if (fstat(object->get(), &info) != 0) return failed("read the content of", entry.path);
  if (!S_ISREG(info.st_mode)) return damaged(entry, "is damaged: it is not a file");
  if (static_cast<uint64_t>(info.st_size) != entry.size)
    return too_short(entry, static_cast<uint64_t>(info.st_size));
  return object;
}

Result<void> copy_small(const tree::Entry& entry, int from, int to) {
  char buffer[kSmall];
  size_t have = 0;
  while (have < entry.size) {
    ssize_t got = read(from, buffer + have, entry.size - have);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("read the content of", entry.path);
    if (got == 0) return too_short(entry, have);
    have += static_cast<size_t>(got);
  }
  TRY_VOID_CTX(sys::write_all(to, std::string_view(buffer, have)),
               "cannot write " + shown_path(entry.path));
  return {};
}

Result<void> copy_range(const tree::Entry& entry, int from, int to, off64_t at, off64_t end) {
  while (at < end) {
    off64_t out = at;
    ssize_t got = copy_file_range(from, &at, to, &out, static_cast<size_t>(end - at), 0);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return failed("write", entry.path);
    if (got == 0) return too_short(entry, static_cast<uint64_t>(at));
  }
  return {};
}

Result<void> copy_large(const tree::Entry& entry, int from, int to) {
  const auto size = static_cast<off64_t>(entry.size);
  for (off64_t at = 0; at < size;) {
    const off64_t data = lseek64(from, at, SEEK_DATA);
    if (data < 0 && errno == ENXIO) break;  // a hole up to the end
    if (data < 0) return failed("read the content of", entry.path);
    const off64_t hole = lseek64(from, data, SEEK_HOLE);
    if (hole < 0) return failed("read the content of", entry.path);
    TRY_VOID(copy_range(entry, from, to, data, std::min(hole, size)));
    at = hole;
  }
  if (ftruncate64(to, size) != 0) return failed("write", entry.path);
  return {};
}

Result<void> fill(int objects, const tree::Entry& entry, Filling filling, int to) {
  if (entry.size == 0) return {};
  TRY(sys::Fd from, open_object(objects, entry));
  if (ioctl(to, FICLONE, from.get()) == 0) return {};
  if (filling == Filling::kReflink) return failed("share the content of", entry.path);
  return entry.size <= kSmall ? copy_small(entry, from.get(), to)
                              : copy_large(entry, from.get(), to);
}

std::span<const timespec, 2> times_of(const tree::Entry& entry, timespec (&times)[2]) {
  times[0] = times[1] = {static_cast<time_t>(entry.mtime_s), static_cast<long>(entry.mtime_ns)};
  return times;
}

}  // namespace

std::string object_name(const tree::ObjectId& id) {
  std::string hex = to_hex(id);
  hex.insert(2, "/");
  return hex;
}

std::string shown_path(std::string_view path) {
  if (path.empty()) return "the root";
  constexpr char kDigits[] = "0123456789abcdef";
  std::string text = "'";
  for (char c : path.substr(0, kShown)) {
    const auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte != 0x7f && c != '\\')
      text += c;
    else
      text.append("\\x").append(1, kDigits[byte >> 4]).append(1, kDigits[byte & 15]);
  }
  return text + (path.size() > kShown ? "...'" : "'");
}

std::string_view parent_of(std::string_view path) {
  const size_t slash = path.rfind('/');
  return slash == path.npos ? std::string_view() : path.substr(0, slash);
}

mode_t type_bits(tree::Type type) {
  switch (type) {
    case tree::Type::kDirectory:
      return S_IFDIR;
    case tree::Type::kFile:
      return S_IFREG;
    case tree::Type::kSymlink:
      return S_IFLNK;
    case tree::Type::kBlockDevice:
      return S_IFBLK;
    case tree::Type::kFifo:
      return S_IFIFO;
    case tree::Type::kSocket:
      return S_IFSOCK;
    case tree::Type::kCharDevice:
    case tree::Type::kWhiteout:
      break;
  }
  return S_IFCHR;
}

Result<void> make_tree_file(int objects, const tree::Entry& entry, Filling filling, int dir,
                            const std::string& name) {
  TRY_VOID(failpoint("store.checkout.file"));
  TRY_CTX(sys::Fd file, sys::open_at(dir, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600),
          "cannot make " + shown_path(entry.path));
  TRY_VOID(fill(objects, entry, filling, file.get()));
  return set_metadata(file.get(), entry);
}

Result<void> set_metadata(int fd, const tree::Entry& entry) {
  if (fchown(fd, entry.uid, entry.gid) != 0) return failed("set the owner of", entry.path);
  for (const tree::Xattr& xattr : entry.xattrs)
    if (fsetxattr(fd, std::string(xattr.name).c_str(), xattr.value.data(), xattr.value.size(), 0) !=
        0)
      return failed("set attribute '" + std::string(xattr.name) + "' of", entry.path);
  if (fchmod(fd, entry.mode) != 0) return failed("set the mode of", entry.path);
  timespec times[2];
  if (futimens(fd, times_of(entry, times).data()) != 0)
    return failed("set the time of", entry.path);
  return {};
}

Result<void> set_metadata_at(int dir, const std::string& name, const tree::Entry& entry) {
  if (fchownat(dir, name.c_str(), entry.uid, entry.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the owner of", entry.path);
  if (!entry.xattrs.empty())
    return Error(ErrorKind::kCorrupt,
                 shown_path(entry.path) + " has extended attributes, which its type cannot have");
  // Made by us a moment ago: no link that could be followed.
  if (entry.type != tree::Type::kSymlink && fchmodat(dir, name.c_str(), entry.mode, 0) != 0)
    return failed("set the mode of", entry.path);
  timespec times[2];
  if (utimensat(dir, name.c_str(), times_of(entry, times).data(), AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the time of", entry.path);
  return {};
}

}  // namespace wherry::store
