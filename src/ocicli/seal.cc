#include "ocicli/seal.h"

#include <sys/mman.h>
#include <sys/mount.h>
#include <sys/sendfile.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <climits>

#include "sys/fd.h"
#include "sys/mount.h"

namespace wherry::ocicli {
namespace {

constexpr int kSeals = F_SEAL_SEAL | F_SEAL_SHRINK | F_SEAL_GROW | F_SEAL_WRITE;

// /proc/self/exe as the kernel knows it: no name is looked up.
Result<bool> is_sealed() {
  TRY(sys::Fd self, sys::open_file("/proc/self/exe", O_RDONLY));
  struct statvfs place{};
  if (fstatvfs(self.get(), &place) != 0)
    return Error::from_errno(errno, "cannot look at '/proc/self/exe'");
  if ((place.f_flag & ST_RDONLY) != 0) return true;
  return fcntl(self.get(), F_GET_SEALS) == kSeals;
}

Error executed(int directory, const char* name, char** argv, int flags) {
  syscall(SYS_execveat, directory, name, argv, environ, flags);
  return Error::from_errno(errno, "cannot execute this program again");
}

// The directory and not the file, so that the process keeps its name.
Error execute_read_only(char** argv) {
  char path[PATH_MAX];
  ssize_t size = readlink("/proc/self/exe", path, sizeof path - 1);
  if (size <= 0) return Error::from_errno(errno, "cannot read '/proc/self/exe'");
  std::string program(path, static_cast<size_t>(size));
  size_t slash = program.rfind('/');
  Result<sys::Fd> view = sys::clone_mount_of(program.substr(0, slash + 1), false);
  if (!view) return std::move(view.error());
  Result<void> locked =
      sys::change_mount(view->get(), {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE}, false);
  if (!locked) return std::move(locked.error());
  // What is at the name now must be what runs: another one may have been installed meanwhile.
  struct stat ours{};
  struct stat named{};
  if (stat("/proc/self/exe", &ours) != 0 ||
      fstatat(view->get(), program.c_str() + slash + 1, &named, AT_SYMLINK_NOFOLLOW) != 0)
    return Error::from_errno(errno, "cannot look at '" + program + "'");
  if (ours.st_dev != named.st_dev || ours.st_ino != named.st_ino)
    return Error(ErrorKind::kConflict, "'" + program + "' has been replaced");
  return executed(view->get(), program.c_str() + slash + 1, argv, AT_SYMLINK_NOFOLLOW);
}

Error execute_copy(char** argv) {
  sys::Fd copy(memfd_create("wherry-oci", MFD_CLOEXEC | MFD_ALLOW_SEALING));
  if (!copy) return Error::from_errno(errno, "cannot make a file in memory");
  Result<sys::Fd> self = sys::open_file("/proc/self/exe", O_RDONLY);
  if (!self) return std::move(self.error());
  ssize_t sent = 0;
  while ((sent = sendfile(copy.get(), self->get(), nullptr, size_t{1} << 30)) > 0) {
  }
  if (sent < 0 || fcntl(copy.get(), F_ADD_SEALS, kSeals) != 0)
    return Error::from_errno(errno, "cannot copy this program");
  return executed(copy.get(), "", argv, AT_EMPTY_PATH);
}

}  // namespace

Result<void> ensure_sealed(char** argv) {
  TRY_CTX(bool sealed, is_sealed(), "cannot seal this program");
  if (sealed) return {};
  Error first = execute_read_only(argv);
  Error second = execute_copy(argv);
  return Error(second.kind(), "cannot seal this program against containers: " + first.message() +
                                  "; " + second.message());
}

}  // namespace wherry::ocicli
