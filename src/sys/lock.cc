#include "sys/lock.h"

#include <sys/file.h>
#include <sys/stat.h>

#include <cerrno>

#include "sys/lock_wait.h"

namespace wherry::sys {
namespace {

// True when `name` still is the file behind `fd`: it may have been replaced while we waited.
bool still_named(int dir, const std::string& name, int fd) {
  struct stat by_fd{};
  struct stat by_name{};
  return fstat(fd, &by_fd) == 0 && fstatat(dir, name.c_str(), &by_name, AT_SYMLINK_NOFOLLOW) == 0 &&
         by_fd.st_ino == by_name.st_ino && by_fd.st_dev == by_name.st_dev;
}

// The locked fd, or an empty one when `operation` has LOCK_NB and another holds the lock.
Result<Fd> lock_file(int dir, const std::string& name, int operation) {
  for (;;) {
    TRY_CTX(Fd fd, open_at(dir, name, O_RDWR | O_CREAT | O_NOFOLLOW, 0600),
            "cannot open lock '" + name + "'");
    while (wait_for_flock(fd.get(), operation, name) != 0) {
      if (errno == EWOULDBLOCK) return Fd();
      if (errno != EINTR) return Error::from_errno(errno, "cannot lock '" + name + "'");
    }
    if (still_named(dir, name, fd.get())) return fd;
  }
}

int operation_of(FileLock::Mode mode) {
  return mode == FileLock::Mode::kShared ? LOCK_SH : LOCK_EX;
}

}  // namespace

Result<FileLock> FileLock::acquire(int dir, const std::string& name, Mode mode) {
  TRY(Fd fd, lock_file(dir, name, operation_of(mode)));
  return FileLock(std::move(fd));
}

Result<FileLock> FileLock::acquire(Fd file, const std::string& name) {
  while (wait_for_flock(file.get(), LOCK_EX, name) != 0)
    if (errno != EINTR) return Error::from_errno(errno, "cannot lock '" + name + "'");
  return FileLock(std::move(file));
}

Result<std::optional<FileLock>> FileLock::try_acquire(int dir, const std::string& name, Mode mode) {
  TRY(Fd fd, lock_file(dir, name, operation_of(mode) | LOCK_NB));
  if (!fd) return std::optional<FileLock>();
  return std::optional<FileLock>(FileLock(std::move(fd)));
}

Result<bool> is_locked(int dir, const std::string& name) {
  int raw = openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC);
  if (raw < 0) {
    if (errno == ENOENT) return false;
    return Error::from_errno(errno, "cannot open lock '" + name + "'");
  }
  Fd fd(raw);
  if (flock(fd.get(), LOCK_SH | LOCK_NB) == 0) return false;
  if (errno == EWOULDBLOCK) return true;
  return Error::from_errno(errno, "cannot test lock '" + name + "'");
}

}  // namespace wherry::sys
