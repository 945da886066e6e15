// Fd: the owner of one file descriptor, close-on-exec from birth; and reading and writing whole.
#pragma once

#include <fcntl.h>
#include <unistd.h>

#include <cstdint>
#include <span>
#include <string>
#include <string_view>
#include <utility>

#include "base/result.h"

namespace wherry::sys {

class Fd {
 public:
  Fd() = default;
  explicit Fd(int fd) : fd_(fd) {}  // takes ownership; -1: empty
  Fd(Fd&& other) noexcept : fd_(std::exchange(other.fd_, -1)) {}
  Fd& operator=(Fd&& other) noexcept {
    if (this != &other) reset(std::exchange(other.fd_, -1));
    return *this;
  }
  Fd(const Fd&) = delete;
  Fd& operator=(const Fd&) = delete;
  ~Fd() { reset(); }

  int get() const { return fd_; }
  explicit operator bool() const { return fd_ >= 0; }
  int release() { return std::exchange(fd_, -1); }
  // Closes the old one. Close errors are ignored: durable writers fsync before (sys/file.h).
  void reset(int fd = -1) {
    if (fd_ >= 0) ::close(fd_);
    fd_ = fd;
  }
  // A duplicate, close-on-exec.
  Result<Fd> dup() const;

 private:
  int fd_ = -1;
};

struct Pipe {
  Fd read;
  Fd write;
};
// pipe2 with O_CLOEXEC and `flags`.
Result<Pipe> make_pipe(int flags = 0);

// open(2) with O_CLOEXEC; the error names the path.
Result<Fd> open_file(const std::string& path, int flags, unsigned mode = 0600);
// openat(2) with O_CLOEXEC. `name` is used as given: for trusted trees only.
Result<Fd> open_at(int dir, const std::string& name, int flags, unsigned mode = 0600);
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS: for trees with foreign content; symlinks
// that leave `dir` fail with EXDEV.
Result<Fd> open_beneath(int dir, const std::string& name, int flags, unsigned mode = 0600);
// openat2(2) with RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS: `name` resolved as if `root` were "/".
Result<Fd> open_in_root(int root, const std::string& name, int flags, unsigned mode = 0600);
// openat2(2) with RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS: for names known to have no links; one that
// has become a link fails with ELOOP.
Result<Fd> open_without_links(int dir, const std::string& name, int flags, unsigned mode = 0600);

// Reads to the end of file; more than `limit` bytes is kResourceExhausted.
Result<std::string> read_all(int fd, size_t limit);
// open_file + read_all.
Result<std::string> read_file(const std::string& path, size_t limit);
// Writes everything, going on after EINTR and short writes. EPIPE is an error, never a signal:
// programs ignore SIGPIPE.
Result<void> write_all(int fd, std::string_view data);

}  // namespace wherry::sys
