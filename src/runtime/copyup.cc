#include "runtime/copyup.h"

#include <fcntl.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cerrno>
#include <cstring>
#include <map>
#include <string>
#include <utility>
#include <vector>

#include "sys/file.h"

namespace wherry::runtime {
namespace {

constexpr int kDepthLimit = 1024;
constexpr size_t kXattrLimit = 65536;  // the kernel's own limit of a value and of a list

class Copier {
 public:
  explicit Copier(int volume) : volume_(volume) {}
  // The contents of `from` into `to`, then the directory's own metadata.
  Result<void> copy_directory(int from, int to, int depth);

 private:
  Result<void> copy_entry(int from, int to, const std::string& name, int depth);
  Result<void> copy_subdirectory(int from, int to, const std::string& name, int depth);
  Result<void> copy_file(int from, int to, const std::string& name);
  Result<void> copy_link(int from, int to, const std::string& name);
  Result<void> link_again(const std::string& first, int to, const std::string& name);

  int volume_;
  std::string prefix_;  // of the directory being copied, below the volume, with a slash behind
  // First copy of each file with several names: {device, inode} -> its path below the volume.
  std::map<std::pair<dev_t, ino_t>, std::string> hard_links_;
};

Error cannot_copy(const std::string& name, int errnum) {
  return Error::from_errno(errnum, "cannot copy '" + name + "'");
}

// Owner before mode: changing the owner takes set-id bits away.
Result<void> copy_owner_mode_times(int from_fd, int to_fd) {
  struct stat status{};
  if (fstat(from_fd, &status) != 0) return Error::from_errno(errno, "cannot read its status");
  if (fchown(to_fd, status.st_uid, status.st_gid) != 0)
    return Error::from_errno(errno, "cannot set its owner");
  if (fchmod(to_fd, status.st_mode & 07777) != 0)
    return Error::from_errno(errno, "cannot set its mode");
  timespec times[2] = {status.st_atim, status.st_mtim};
  if (futimens(to_fd, times) != 0) return Error::from_errno(errno, "cannot set its times");
  return {};
}

Result<void> copy_xattrs(int from_fd, int to_fd) {
  char names[kXattrLimit];
  ssize_t size = flistxattr(from_fd, names, sizeof names);
  if (size < 0 && errno == EOPNOTSUPP) return {};
  if (size < 0) return Error::from_errno(errno, "cannot list its attributes");
  std::string value;
  for (const char* name = names; name < names + size; name += strlen(name) + 1) {
    value.resize(kXattrLimit);
    ssize_t got = fgetxattr(from_fd, name, value.data(), value.size());
    if (got < 0 && errno == ENODATA) continue;
    if (got < 0)
      return Error::from_errno(errno, "cannot read its attribute '" + std::string(name) + "'");
    if (fsetxattr(to_fd, name, value.data(), static_cast<size_t>(got), 0) != 0)
      return Error::from_errno(errno, "cannot set its attribute '" + std::string(name) + "'");
  }
  return {};
}

Result<void> copy_metadata(int from_fd, int to_fd) {
  TRY_VOID(copy_xattrs(from_fd, to_fd));
  return copy_owner_mode_times(from_fd, to_fd);
}

Result<void> copy_bytes(int from_fd, int to_fd) {
  for (;;) {
    ssize_t moved = sendfile(to_fd, from_fd, nullptr, size_t{1} << 30);
    if (moved == 0) return {};
    if (moved < 0 && errno != EINTR) return Error::from_errno(errno, "cannot write");
  }
}

// The mode comes with the node, since the umask is 0 here: another container may share the volume
// and put a link in place of the name, which fchmodat would follow to a file of the host.
Result<void> copy_special(int to, const std::string& name, const struct stat& status) {
  if (mknodat(to, name.c_str(), status.st_mode, status.st_rdev) != 0 ||
      fchownat(to, name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0)
    return cannot_copy(name, errno);
  timespec times[2] = {status.st_atim, status.st_mtim};
  if (utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0) return cannot_copy(name, errno);
  return {};
}

Result<void> Copier::copy_link(int from, int to, const std::string& name) {
  char target[4096];
  ssize_t size = readlinkat(from, name.c_str(), target, sizeof target - 1);
  struct stat status{};
  if (size < 0 || fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return cannot_copy(name, errno);
  target[size] = '\0';
  timespec times[2] = {status.st_atim, status.st_mtim};
  if (symlinkat(target, to, name.c_str()) != 0 ||
      fchownat(to, name.c_str(), status.st_uid, status.st_gid, AT_SYMLINK_NOFOLLOW) != 0 ||
      utimensat(to, name.c_str(), times, AT_SYMLINK_NOFOLLOW) != 0)
    return cannot_copy(name, errno);
  return {};
}

Result<void> Copier::copy_file(int from, int to, const std::string& name) {
  TRY(sys::Fd source, sys::open_at(from, name, O_RDONLY | O_NOFOLLOW));
  TRY(sys::Fd target, sys::open_at(to, name, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW, 0600));
  TRY_VOID_CTX(copy_bytes(source.get(), target.get()), "cannot copy '" + name + "'");
  TRY_VOID_CTX(copy_metadata(source.get(), target.get()), "cannot copy '" + name + "'");
  return {};
}

Result<void> Copier::copy_subdirectory(int from, int to, const std::string& name, int depth) {
  TRY(sys::Fd source, sys::open_at(from, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  if (mkdirat(to, name.c_str(), 0700) != 0) return cannot_copy(name, errno);
  TRY(sys::Fd target, sys::open_at(to, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  size_t length = prefix_.size();
  prefix_.append(name).append("/");
  Result<void> copied = copy_directory(source.get(), target.get(), depth + 1);
  prefix_.resize(length);
  return copied;
}

// The path is used a second time: it must not lead out of the volume by what a container that
// shares it has put there meanwhile.
Result<void> Copier::link_again(const std::string& first, int to, const std::string& name) {
  size_t slash = first.rfind('/');
  std::string parent = slash == first.npos ? "." : first.substr(0, slash);
  TRY(sys::Fd directory, sys::open_beneath(volume_, parent, O_PATH | O_DIRECTORY));
  const char* last = first.c_str() + (slash == first.npos ? 0 : slash + 1);
  if (linkat(directory.get(), last, to, name.c_str(), 0) != 0) return cannot_copy(name, errno);
  return {};
}

Result<void> Copier::copy_entry(int from, int to, const std::string& name, int depth) {
  struct stat status{};
  if (fstatat(from, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0)
    return cannot_copy(name, errno);
  if (S_ISDIR(status.st_mode)) return copy_subdirectory(from, to, name, depth);
  std::pair<dev_t, ino_t> identity{status.st_dev, status.st_ino};
  if (auto first = hard_links_.find(identity); first != hard_links_.end())
    return link_again(first->second, to, name);
  if (S_ISLNK(status.st_mode)) {
    TRY_VOID(copy_link(from, to, name));
  } else if (S_ISREG(status.st_mode)) {
    TRY_VOID(copy_file(from, to, name));
  } else {
    TRY_VOID(copy_special(to, name, status));
  }
  if (status.st_nlink > 1) hard_links_.emplace(identity, prefix_ + name);
  return {};
}

Result<void> Copier::copy_directory(int from, int to, int depth) {
  if (depth > kDepthLimit)
    return Error(ErrorKind::kResourceExhausted, "directories are nested too deeply to copy");
  TRY(std::vector<std::string> names, sys::list_dir(from));
  for (const std::string& name : names) TRY_VOID(copy_entry(from, to, name, depth));
  return copy_metadata(from, to);
}

}  // namespace

Result<void> copy_up(int image, int volume) {
  TRY(sys::Fd from, sys::open_at(image, ".", O_RDONLY | O_DIRECTORY));
  TRY(sys::Fd to, sys::open_at(volume, ".", O_RDONLY | O_DIRECTORY));
  TRY(std::vector<std::string> there, sys::list_dir(to.get()));
  if (!there.empty()) return {};
  return Copier(to.get()).copy_directory(from.get(), to.get(), 0);
}

}  // namespace wherry::runtime
