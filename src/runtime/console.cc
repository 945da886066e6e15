#include "runtime/console.h"

#include <linux/magic.h>
#include <sys/ioctl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/vfs.h>
#include <unistd.h>

#include <cerrno>

#include "base/weaken.h"
#include "runtime/targets.h"
#include "sys/mount.h"

namespace wherry::runtime {
namespace {

// The multiplexer must be devpts' own: an image or a volume could hold anything under its name.
Result<void> check_multiplexer(int fd) {
  if (weakened(Defence::kMultiplexer)) return {};
  struct statfs filesystem{};
  struct stat status{};
  if (fstatfs(fd, &filesystem) != 0 || fstat(fd, &status) != 0)
    return Error::from_errno(errno, "cannot look at '/dev/pts/ptmx'");
  if (filesystem.f_type == DEVPTS_SUPER_MAGIC && S_ISCHR(status.st_mode) &&
      status.st_rdev == makedev(5, 2))
    return {};
  return Error(ErrorKind::kInvalidArgument, "'/dev/pts/ptmx' is not a terminal multiplexer");
}

}  // namespace

Result<Terminal> open_terminal(int root, uid_t owner, uint32_t rows, uint32_t columns) {
  Terminal terminal;
  // Looked at before it is opened for use: opening a foreign device may already do harm.
  TRY_CTX(sys::Fd place, sys::open_in_root(root, "/dev/pts/ptmx", O_PATH),
          "cannot make a terminal");
  TRY_VOID_CTX(check_multiplexer(place.get()), "cannot make a terminal");
  TRY_CTX(terminal.master, sys::open_in_root(root, "/dev/pts/ptmx", O_RDWR | O_NOCTTY),
          "cannot make a terminal");
  TRY_VOID_CTX(check_multiplexer(terminal.master.get()), "cannot make a terminal");
  int unlocked = 0;
  if (ioctl(terminal.master.get(), TIOCSPTLCK, &unlocked) != 0)
    return Error::from_errno(errno, "cannot unlock the terminal");
  terminal.slave.reset(ioctl(terminal.master.get(), TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC));
  if (!terminal.slave) return Error::from_errno(errno, "cannot open the terminal");
  if (fchown(terminal.slave.get(), owner, static_cast<gid_t>(-1)) != 0)
    return Error::from_errno(errno, "cannot give the terminal to its user");
  winsize size{};
  size.ws_row = static_cast<unsigned short>(rows);
  size.ws_col = static_cast<unsigned short>(columns);
  if (rows != 0 && ioctl(terminal.master.get(), TIOCSWINSZ, &size) != 0)
    return Error::from_errno(errno, "cannot set the terminal's size");
  return terminal;
}

Result<void> bind_console(int root, int slave) {
  constexpr const char* kContext = "cannot make '/dev/console'";
  TRY_CTX(sys::Fd dev, open_target(root, "/dev", TargetKind::kDirectory, {.follow = false}),
          kContext);
  sys::Fd made(openat(dev.get(), "console", O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, 0600));
  if (!made && errno != EEXIST) return Error::from_errno(errno, kContext);
  const int follow = weakened(Defence::kConsole) ? 0 : O_NOFOLLOW;
  TRY_CTX(sys::Fd target, sys::open_at(dev.get(), "console", O_PATH | follow), kContext);
  TRY_CTX(sys::Fd mount, sys::clone_mount(slave, "", false), kContext);
  TRY_VOID_CTX(sys::attach_mount(mount.get(), target.get()), kContext);
  return {};
}

Result<void> adopt_terminal(int slave) {
  if (ioctl(slave, TIOCSCTTY, 0) != 0)
    return Error::from_errno(errno, "cannot take the controlling terminal");
  for (int fd = 0; fd <= 2; ++fd)
    if (dup2(slave, fd) < 0) return Error::from_errno(errno, "cannot connect the terminal");
  return {};
}

}  // namespace wherry::runtime
