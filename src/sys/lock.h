// FileLock: an exclusive or shared lock on a file that the kernel frees when its holder dies.
//
// flock(2) on a file of its own, opened O_CLOEXEC. The holder may also pass the fd on: the lock
// lives as long as any copy of the open file description. Lock files are never unlinked while
// others may wait on them unless the waiters check afterwards (acquire does: it reopens when the
// file was replaced).
#pragma once

#include <optional>
#include <string>

#include "sys/fd.h"

namespace wherry::sys {

class FileLock {
 public:
  enum class Mode { kShared, kExclusive };

  // Waits for the lock. The file is made (0600) when missing.
  static Result<FileLock> acquire(int dir, const std::string& name, Mode mode);
  // The same on a file that is open: one that is no lock file, but that all who ask share. `name`:
  // what errors and observers call it.
  static Result<FileLock> acquire(Fd file, const std::string& name);
  // nullopt when another holds it.
  static Result<std::optional<FileLock>> try_acquire(int dir, const std::string& name, Mode mode);

  int fd() const { return fd_.get(); }
  // Hands over the fd: the lock lives on with it.
  Fd take_fd() && { return std::move(fd_); }

 private:
  explicit FileLock(Fd fd) : fd_(std::move(fd)) {}
  Fd fd_;
};

// True when some process holds an exclusive lock on `name` (false when the file is missing).
Result<bool> is_locked(int dir, const std::string& name);

}  // namespace wherry::sys
