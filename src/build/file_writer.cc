#include "build/file_writer.h"

#include <linux/fs.h>
#include <sys/ioctl.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>

#include "build/resolve.h"

namespace wherry::build {
namespace {

constexpr off_t kSmall = 64 << 10;
constexpr int64_t kSecond = 1'000'000'000;

Error failed(std::string_view action, const std::string& path) {
  return Error::from_errno(errno,
                           "cannot " + std::string(action) + " '/" + escape_name(path) + "'");
}

timespec time_of(int64_t ns) {
  int64_t seconds = ns / kSecond, rest = ns % kSecond;
  if (rest < 0) {
    rest += kSecond;
    --seconds;
  }
  return {seconds, rest};
}

Error cut_short() {
  return Error(ErrorKind::kConflict, "the file became shorter while it was copied");
}

Result<void> write_at(int to, const char* data, size_t size, off_t offset) {
  while (size > 0) {
    ssize_t written = pwrite(to, data, size, offset);
    if (written < 0 && errno == EINTR) continue;
    if (written < 0) return Error::from_errno(errno, "cannot write");
    data += written;
    size -= static_cast<size_t>(written);
    offset += written;
  }
  return {};
}

Result<void> copy_by_hand(int from, int to, off_t offset, off_t end) {
  char buffer[kSmall];
  while (offset < end) {
    size_t wanted = static_cast<size_t>(std::min<off_t>(end - offset, sizeof buffer));
    ssize_t got = pread(from, buffer, wanted, offset);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read");
    if (got == 0) return cut_short();
    TRY_VOID(write_at(to, buffer, static_cast<size_t>(got), offset));
    offset += got;
  }
  return {};
}

Result<void> copy_range(int from, int to, off_t offset, off_t end) {
  if (end - offset <= kSmall) return copy_by_hand(from, to, offset, end);
  while (offset < end) {
    off_t in = offset, out = offset;
    ssize_t done =
        copy_file_range(from, &in, to, &out, static_cast<size_t>(end - offset), /*flags=*/0);
    if (done < 0 && errno == EINTR) continue;
    if (done == 0) return cut_short();
    if (done < 0) {
      bool cannot = errno == EXDEV || errno == EINVAL || errno == ENOSYS || errno == EOPNOTSUPP ||
                    errno == EPERM;
      if (cannot) return copy_by_hand(from, to, offset, end);
      return Error::from_errno(errno, "cannot copy");
    }
    offset += done;
  }
  return {};
}

// Only where there is data; the end is set by the size.
Result<void> copy_sparse(int from, int to, off_t size) {
  if (ftruncate(to, size) != 0) return Error::from_errno(errno, "cannot size");
  for (off_t offset = 0; offset < size;) {
    off_t begin = lseek(from, offset, SEEK_DATA);
    if (begin < 0 && errno == ENXIO) break;
    if (begin < 0) return Error::from_errno(errno, "cannot find data");
    if (begin >= size) break;
    off_t end = lseek(from, begin, SEEK_HOLE);
    if (end < 0) return Error::from_errno(errno, "cannot find data");
    end = std::min(end, size);
    TRY_VOID(copy_range(from, to, begin, end));
    offset = end;
  }
  return {};
}

}  // namespace

Result<FileWriter::Place> FileWriter::place_of(const std::string& path) {
  auto [parent, name] = split_path(path);
  if (!cached_ || parent != parent_path_) {
    cached_ = false;
    TRY_CTX(parent_,
            sys::open_without_links(root_, parent.empty() ? "." : parent, O_PATH | O_DIRECTORY),
            "cannot enter '/" + escape_name(parent) + "'");
    parent_path_ = parent;
    cached_ = true;
  }
  return Place{parent_.get(), name};
}

Result<void> FileWriter::make_room(const Place& place, const std::string& path) {
  if (unlinkat(place.parent, place.name.c_str(), 0) == 0 || errno == ENOENT) return {};
  if (errno != EISDIR) return failed("replace", path);
  return Error(ErrorKind::kInvalidArgument,
               "cannot replace directory '/" + escape_name(path) + "' with a file")
      .set_errnum(EISDIR);
}

Result<void> FileWriter::copy_data(int from, int to, const struct stat& status) {
  if (status.st_size == 0) return {};
  if (clones_ && status.st_size > kSmall) {
    if (ioctl(to, FICLONE, from) == 0) return {};
    clones_ = false;
  }
  if (status.st_blocks * 512 < status.st_size && status.st_size > kSmall)
    return copy_sparse(from, to, status.st_size);
  return copy_range(from, to, 0, status.st_size);
}

Result<void> FileWriter::set_metadata(int fd, const std::string& path, const Entry& entry,
                                      Owner owner, const std::vector<Attribute>& attributes) {
  // The order matters: chown clears setuid and file capabilities.
  if (fchown(fd, owner.uid, owner.gid) != 0) return failed("set the owner of", path);
  for (const Attribute& attribute : attributes) {
    if (fsetxattr(fd, attribute.name.c_str(), attribute.value.data(), attribute.value.size(), 0) ==
        0)
      continue;
    if (errno != EOPNOTSUPP && errno != EPERM)
      return failed("set attribute '" + escape_name(attribute.name) + "' of", path);
    warnings_.push_back("attribute '" + escape_name(attribute.name) + "' of '/" +
                        escape_name(path) + "' cannot be kept here");
  }
  if (fchmod(fd, entry.mode) != 0) return failed("set the mode of", path);
  return {};
}

Result<void> FileWriter::file(const std::string& path, const Entry& entry, Owner owner, int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) return failed("look at the source of", path);
  std::vector<Attribute> attributes;
  if (entry.xattrs) {
    TRY(attributes, read_attributes(fd));
  }
  TRY(Place place, place_of(path));
  constexpr int kFlags = O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW;
  Result<sys::Fd> made = sys::open_at(place.parent, place.name, kFlags, 0600);
  if (!made && made.error().errnum() == EEXIST) {
    TRY_VOID(make_room(place, path));
    made = sys::open_at(place.parent, place.name, kFlags, 0600);
  }
  if (!made)
    return Error::from_errno(made.error().errnum(), "cannot make '/" + escape_name(path) + "'");
  TRY_VOID_CTX(copy_data(fd, made->get(), status), "cannot copy to '/" + escape_name(path) + "'");
  TRY_VOID(set_metadata(made->get(), path, entry, owner, attributes));
  timespec times[2] = {time_of(entry.mtime_ns), time_of(entry.mtime_ns)};
  if (futimens(made->get(), times) != 0) return failed("set the time of", path);
  return {};
}

Result<void> FileWriter::directory(const std::string& path, const Entry& entry, Owner owner,
                                   const std::vector<Attribute>& attributes) {
  TRY(Place place, place_of(path));
  bool made = mkdirat(place.parent, place.name.c_str(), 0700) == 0;
  if (!made && errno != EEXIST) return failed("make directory", path);
  Result<sys::Fd> opened =
      sys::open_without_links(place.parent, place.name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!opened) {
    int errnum = opened.error().errnum();
    if (errnum != ENOTDIR && errnum != ELOOP) return std::move(opened.error());
    return Error(ErrorKind::kInvalidArgument,
                 "cannot copy to non-directory: '/" + escape_name(path) + "'")
        .set_hint("in the image it is a file or a link, in the source a directory");
  }
  if (!made && entry.implied) return {};
  TRY_VOID(set_metadata(opened->get(), path, entry, owner, attributes));
  directory_times_.emplace_back(path, entry.mtime_ns);
  return {};
}

Result<void> FileWriter::link(const std::string& path, const Entry& entry, Owner owner) {
  TRY(Place place, place_of(path));
  const char* name = place.name.c_str();
  TRY_VOID(make_room(place, path));
  if (symlinkat(entry.target.c_str(), place.parent, name) != 0) return failed("make link", path);
  if (fchownat(place.parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the owner of", path);
  timespec times[2] = {time_of(entry.mtime_ns), time_of(entry.mtime_ns)};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the time of", path);
  return {};
}

Result<void> FileWriter::node(const std::string& path, const Entry& entry, Owner owner) {
  TRY(Place place, place_of(path));
  const char* name = place.name.c_str();
  TRY_VOID(make_room(place, path));
  mode_t type = entry.type == EntryType::kFifo         ? S_IFIFO
                : entry.type == EntryType::kCharDevice ? S_IFCHR
                                                       : S_IFBLK;
  if (mknodat(place.parent, name, type | 0600, entry.rdev) != 0) return failed("make", path);
  if (fchownat(place.parent, name, owner.uid, owner.gid, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the owner of", path);
  // It was made a moment ago in a root that nobody else writes to: it is no link.
  if (fchmodat(place.parent, name, entry.mode, 0) != 0) return failed("set the mode of", path);
  timespec times[2] = {time_of(entry.mtime_ns), time_of(entry.mtime_ns)};
  if (utimensat(place.parent, name, times, AT_SYMLINK_NOFOLLOW) != 0)
    return failed("set the time of", path);
  return {};
}

Result<void> FileWriter::hard_link(const std::string& path, const std::string& existing) {
  TRY(Place place, place_of(path));
  TRY_VOID(make_room(place, path));
  auto [parent_path, name] = split_path(existing);
  TRY(sys::Fd parent, sys::open_without_links(root_, parent_path.empty() ? "." : parent_path,
                                              O_PATH | O_DIRECTORY));
  if (linkat(parent.get(), name.c_str(), place.parent, place.name.c_str(), 0) != 0)
    return failed("link", path);
  return {};
}

Result<void> FileWriter::finish() {
  cached_ = false;
  for (const auto& [path, mtime_ns] : directory_times_) {
    Result<sys::Fd> directory = sys::open_without_links(root_, path, O_RDONLY | O_DIRECTORY);
    // An archive that was unpacked later may have replaced it.
    if (!directory) continue;
    timespec times[2] = {time_of(mtime_ns), time_of(mtime_ns)};
    if (futimens(directory->get(), times) != 0) return failed("set the time of", path);
  }
  directory_times_.clear();
  return {};
}

}  // namespace wherry::build
