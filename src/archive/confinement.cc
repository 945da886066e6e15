#include "archive/confinement.h"

#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>

#include <cerrno>
#include <string_view>

#include "sys/confine.h"
#include "sys/fd.h"

namespace wherry::archive {
namespace {

// xz -9 needs 65 MiB, a zstd window up to 128 MiB.
constexpr uint64_t kAddressSpace = 512u << 20;
constexpr uint64_t kFiles = 32;

constexpr int kCapabilities[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
                                 CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP};

constexpr std::string_view kSystemCalls[] = {
    // reading, writing and making files beneath the root
    "read", "write", "writev", "pwrite64", "lseek", "ftruncate", "close", "fcntl", "fstat",
    "newfstatat", "statx", "openat", "openat2", "getdents64", "mkdirat", "mknodat", "symlinkat",
    "linkat", "unlinkat", "renameat", "renameat2", "fchown", "fchownat", "fchmod", "utimensat",
    "fsetxattr",
    // memory, time and the end
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex", "getrandom", "clock_gettime",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "restart_syscall", "exit", "exit_group",
    // failpoints of the tests end this process only
    "getpid", "gettid", "kill", "tgkill"};

Error failed(const char* what) {
  return Error::from_errno(errno, what);
}

// A copy of the directory's mount, without devices, setuid and programs. Made in the old namespace:
// the descriptor's mount is not part of a new one.
Result<sys::Fd> copy_mount(int root) {
  int raw = static_cast<int>(
      syscall(SYS_open_tree, root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (raw < 0) return failed("cannot copy the directory's mount");
  sys::Fd tree(raw);
  mount_attr attributes{};
  // Where "/" is shared, as under systemd, so is the copy, and pivot_root refuses it.
  attributes.propagation = MS_PRIVATE;
  attributes.attr_set = MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;
  if (syscall(SYS_mount_setattr, tree.get(), "", AT_EMPTY_PATH, &attributes, sizeof attributes) !=
      0)
    return failed("cannot restrict the directory's mount");
  return tree;
}

// The copy becomes "/", the old root leaves, and `root` becomes a descriptor in the new one.
Result<void> enter_root(int root, const sys::Fd& tree) {
  if (mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr) != 0)
    return failed("cannot make mounts private");
  if (syscall(SYS_move_mount, tree.get(), "", AT_FDCWD, "/", MOVE_MOUNT_F_EMPTY_PATH) != 0)
    return failed("cannot attach the directory's mount");
  if (fchdir(tree.get()) != 0) return failed("cannot enter the directory");
  if (syscall(SYS_pivot_root, ".", ".") != 0) return failed("cannot make the directory the root");
  if (umount2(".", MNT_DETACH) != 0) return failed("cannot leave the old root");
  if (chdir("/") != 0) return failed("cannot enter the root");
  // The one given still leads to the old mount, from where ".." goes up.
  TRY(sys::Fd own, sys::open_file("/", O_RDONLY | O_DIRECTORY));
  if (dup3(own.get(), root, O_CLOEXEC) < 0) return failed("cannot keep the root");
  return {};
}

}  // namespace

Result<void> confine_unpacker(int root) {
  umask(0);
  TRY_VOID(sys::limit_process(kAddressSpace, kFiles));
  TRY(sys::Fd tree, copy_mount(root));
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return failed("cannot make namespaces");
  TRY_VOID(enter_root(root, tree));
  TRY_VOID(sys::drop_capabilities(kCapabilities));
  return sys::allow_only(kSystemCalls);
}

}  // namespace wherry::archive
