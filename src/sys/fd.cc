#include "sys/fd.h"

#include <linux/openat2.h>
#include <sys/syscall.h>

#include <cerrno>

#include "base/weaken.h"

namespace wherry::sys {
namespace {

Result<Fd> open_resolved(int dir, const std::string& name, int flags, unsigned mode,
                         uint64_t resolve) {
  if (weakened(Defence::kPaths)) return open_at(dir, "./" + name, flags, mode);
  open_how how{};
  how.flags = static_cast<uint64_t>(flags) | O_CLOEXEC;
  // O_TMPFILE contains O_DIRECTORY's bit; a mode without creation is EINVAL.
  if ((flags & O_CREAT) != 0 || (flags & O_TMPFILE) == O_TMPFILE) how.mode = mode;
  how.resolve = resolve;
  // EAGAIN: a rename raced with the walk (openat2(2)); a bounded number of tries, then it is an
  // error.
  for (int attempt = 0;; ++attempt) {
    int fd = static_cast<int>(syscall(SYS_openat2, dir, name.c_str(), &how, sizeof how));
    if (fd >= 0) return Fd(fd);
    if ((errno != EAGAIN || attempt == 64) && errno != EINTR)
      return Error::from_errno(errno, "cannot open '" + name + "'");
  }
}

}  // namespace

Result<Fd> Fd::dup() const {
  int copy = fcntl(fd_, F_DUPFD_CLOEXEC, 0);
  if (copy < 0) return Error::from_errno(errno, "cannot duplicate a file descriptor");
  return Fd(copy);
}

Result<Pipe> make_pipe(int flags) {
  int ends[2];
  if (pipe2(ends, flags | O_CLOEXEC) != 0) return Error::from_errno(errno, "cannot make a pipe");
  return Pipe{Fd(ends[0]), Fd(ends[1])};
}

Result<Fd> open_file(const std::string& path, int flags, unsigned mode) {
  return open_at(AT_FDCWD, path, flags, mode);
}

Result<Fd> open_at(int dir, const std::string& name, int flags, unsigned mode) {
  for (;;) {
    int fd = openat(dir, name.c_str(), flags | O_CLOEXEC, mode);
    if (fd >= 0) return Fd(fd);
    if (errno != EINTR) return Error::from_errno(errno, "cannot open '" + name + "'");
  }
}

Result<Fd> open_beneath(int dir, const std::string& name, int flags, unsigned mode) {
  return open_resolved(dir, name, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS);
}

Result<Fd> open_in_root(int root, const std::string& name, int flags, unsigned mode) {
  return open_resolved(root, name, flags, mode, RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS);
}

Result<Fd> open_without_links(int dir, const std::string& name, int flags, unsigned mode) {
  return open_resolved(dir, name, flags, mode, RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS);
}

Result<std::string> read_all(int fd, size_t limit) {
  std::string data;
  char buffer[16384];
  for (;;) {
    ssize_t got = read(fd, buffer, sizeof buffer);
    if (got < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "cannot read");
    }
    if (got == 0) return data;
    if (data.size() + static_cast<size_t>(got) > limit)
      return Error(ErrorKind::kResourceExhausted,
                   "larger than the limit of " + std::to_string(limit) + " bytes");
    data.append(buffer, static_cast<size_t>(got));
  }
}

Result<std::string> read_file(const std::string& path, size_t limit) {
  TRY(Fd fd, open_file(path, O_RDONLY));
  TRY_CTX(std::string data, read_all(fd.get(), limit), "cannot read '" + path + "'");
  return data;
}

Result<void> write_all(int fd, std::string_view data) {
  while (!data.empty()) {
    ssize_t written = write(fd, data.data(), data.size());
    if (written < 0) {
      if (errno == EINTR) continue;
      return Error::from_errno(errno, "cannot write");
    }
    data.remove_prefix(static_cast<size_t>(written));
  }
  return {};
}

}  // namespace wherry::sys
