#include "runtime/targets.h"

#include <linux/openat2.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>

#include "base/text.h"
#include "base/weaken.h"

namespace wherry::runtime {
namespace {

constexpr mode_t kMadeMode = 0755;

Result<sys::Fd> resolve(int root, const std::string& path, int flags, bool follow) {
  if (weakened(Defence::kTargets)) return sys::open_at(root, "." + path, flags | O_PATH);
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_PATH | O_CLOEXEC;
  how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS | (follow ? 0 : RESOLVE_NO_SYMLINKS);
  // EAGAIN: a rename raced with the walk; a bounded number of tries, then it is an error.
  for (int attempt = 0;; ++attempt) {
    int fd = static_cast<int>(syscall(SYS_openat2, root, path.c_str(), &how, sizeof how));
    if (fd >= 0) return sys::Fd(fd);
    if ((errno != EAGAIN || attempt == 64) && errno != EINTR)
      return Error::from_errno(errno, "cannot open '" + path + "'");
  }
}

// Opens `name` in `parent`, an already resolved directory, making it when missing.
Result<void> make_one(int parent, const std::string& name, TargetKind kind) {
  if (kind == TargetKind::kDirectory) {
    if (mkdirat(parent, name.c_str(), kMadeMode) == 0 || errno == EEXIST) return {};
    return Error::from_errno(errno, "cannot make the directory '" + name + "'");
  }
  int flags = O_CREAT | O_EXCL | O_NOFOLLOW | O_WRONLY | O_CLOEXEC;
  sys::Fd file(openat(parent, name.c_str(), flags, kMadeMode));
  if (file || errno == EEXIST) return {};
  return Error::from_errno(errno, "cannot make the file '" + name + "'");
}

Result<sys::Fd> make_and_open(int root, const std::string& path, TargetKind kind, bool follow) {
  std::vector<std::string_view> parts = split(std::string_view(path).substr(1), '/');
  TRY(sys::Fd parent, resolve(root, "/", O_DIRECTORY, follow));
  std::string prefix;
  for (size_t i = 0; i < parts.size(); ++i) {
    bool last = i + 1 == parts.size();
    TargetKind wanted = last ? kind : TargetKind::kDirectory;
    prefix.append("/").append(parts[i]);
    int flags = wanted == TargetKind::kDirectory ? O_DIRECTORY : 0;
    // Each prefix is resolved from the root again: a link of the image may lead anywhere inside it.
    Result<sys::Fd> next = resolve(root, prefix, flags, follow);
    if (!next && next.error().errnum() == ENOENT) {
      TRY_VOID(make_one(parent.get(), std::string(parts[i]), wanted));
      next = resolve(root, prefix, flags, follow);
    }
    if (!next) return Error(std::move(next.error()));
    parent = std::move(*next);
  }
  return parent;
}

}  // namespace

Result<bool> is_directory(int fd) {
  struct stat status{};
  if (fstat(fd, &status) != 0) return Error::from_errno(errno, "cannot look at an opened file");
  return S_ISDIR(status.st_mode);
}

Result<sys::Fd> open_target(int root, const std::string& path, TargetKind kind, TargetRules rules) {
  int flags = kind == TargetKind::kDirectory ? O_DIRECTORY : 0;
  Result<sys::Fd> found = resolve(root, path, flags, rules.follow);
  if (!found && found.error().errnum() == ENOENT && rules.make)
    found = make_and_open(root, path, kind, rules.follow);
  if (!found) {
    if (found.error().errnum() == ELOOP && !rules.follow)
      return Error(ErrorKind::kInvalidArgument, "'" + path + "' is a symbolic link in the image");
    return found;
  }
  if (kind == TargetKind::kFile) {
    TRY(bool directory, is_directory(found->get()));
    if (directory) return Error::from_errno(EISDIR, "cannot use '" + path + "' as a file");
  }
  return found;
}

std::pair<std::string, std::string> split_path(const std::string& path) {
  size_t slash = path.rfind('/');
  return {slash == 0 ? "/" : path.substr(0, slash), path.substr(slash + 1)};
}

}  // namespace wherry::runtime
