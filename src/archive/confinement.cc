#include "archive/confinement.h"

#include <linux/capability.h>
#include <linux/mount.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>
#include <span>
#include <string_view>
#include <vector>

#include "archive/arena.h"
#include "base/weaken.h"
#include "sys/confine.h"
#include "sys/fd.h"

namespace wherry::archive {
namespace {

// xz -9 needs 65 MiB, a zstd window up to 128 MiB.
constexpr uint64_t kAddressSpace = 512u << 20;
constexpr uint64_t kFiles = 32;
constexpr uint64_t kReadOnly = MOUNT_ATTR_RDONLY | MOUNT_ATTR_NOATIME | MOUNT_ATTR_NODEV |
                               MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC;

constexpr int kUnpackCapabilities[] = {CAP_CHOWN,  CAP_DAC_OVERRIDE, CAP_FOWNER,
                                       CAP_FSETID, CAP_MKNOD,        CAP_SETFCAP};
// CAP_SETPCAP drops the first.
constexpr int kOpaqueCapabilities[] = {CAP_SYS_ADMIN, CAP_DAC_READ_SEARCH, CAP_SETPCAP};
constexpr int kPackCapabilities[] = {CAP_DAC_READ_SEARCH};

constexpr std::string_view kCommonCalls[] = {
    // reading files, writing to what is open
    "read", "write", "writev", "lseek", "close", "fcntl", "fstat", "newfstatat", "statx", "openat",
    "openat2",
    // memory, time, the threads that there are, and the end
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "futex", "getrandom", "clock_gettime",
    "rseq", "set_robust_list", "sched_yield", "rt_sigaction", "rt_sigprocmask", "rt_sigreturn",
    "restart_syscall", "exit", "exit_group",
    // failpoints of the tests end this process only
    "getpid", "gettid", "kill", "tgkill"};
constexpr std::string_view kUnpackCalls[] = {"getdents64", "pwrite64",  "ftruncate", "mkdirat",
                                             "mknodat",    "symlinkat", "linkat",    "unlinkat",
                                             "renameat",   "renameat2", "fchown",    "fchownat",
                                             "fchmod",     "fchmodat",  "utimensat", "fsetxattr"};
// Not getdents64: whether the store has an object can be asked, not which ones it has.
constexpr std::string_view kObjectCalls[] = {"pwrite64", "pread64",  "ftruncate", "fallocate",
                                             "mkdirat",  "unlinkat", "renameat",  "renameat2",
                                             "fchmod",   "fchmodat"};
constexpr std::string_view kRebuildCalls[] = {"pread64"};
constexpr std::string_view kPackCalls[] = {"getdents64", "readlinkat", "fgetxattr", "flistxattr"};

Error failed(const char* what) {
  return Error::from_errno(errno, what);
}

// A copy of the directory's mount with these attributes. Made in the old namespace: the
// descriptor's mount is not part of a new one.
Result<sys::Fd> copy_mount(int root, uint64_t attributes_to_set) {
  int raw = static_cast<int>(
      syscall(SYS_open_tree, root, "", OPEN_TREE_CLONE | OPEN_TREE_CLOEXEC | AT_EMPTY_PATH));
  if (raw < 0) return failed("cannot copy the directory's mount");
  sys::Fd tree(raw);
  mount_attr attributes{};
  // Where "/" is shared, as under systemd, so is the copy, and pivot_root refuses it.
  attributes.propagation = MS_PRIVATE;
  attributes.attr_set = attributes_to_set;
  // Ways of keeping access times are alternatives: one can only be set in place of another.
  if ((attributes_to_set & MOUNT_ATTR__ATIME) != 0) attributes.attr_clr = MOUNT_ATTR__ATIME;
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

// Before Linux 6.15 a mount that has no place in our namespace cannot be copied. Nothing is above
// such a one: as the root it confines as well, when it is harmless already.
Result<void> stay_in(int root) {
  struct statvfs info{};
  if (fstatvfs(root, &info) != 0) return failed("cannot read the directory's mount");
  constexpr unsigned long kHarmless = ST_NODEV | ST_NOSUID | ST_NOEXEC;
  if ((info.f_flag & kHarmless) != kHarmless)
    return Error(ErrorKind::kUnsupported, "this kernel cannot restrict the directory's mount");
  if (fchdir(root) != 0) return failed("cannot enter the directory");
  if (chroot(".") != 0) return failed("cannot make the directory the root");
  return {};
}

Result<void> confine_to(int root, uint64_t mount_attributes, bool may_stay,
                        uint64_t address_space = kAddressSpace) {
  umask(0);
  if (weakened(Defence::kUnpackJail)) return {};
  TRY_VOID(sys::limit_process(address_space, kFiles));
  Result<sys::Fd> tree = copy_mount(root, mount_attributes);
  bool stays = !tree && may_stay && tree.error().errnum() == EINVAL;
  if (!tree && !stays) return std::move(tree.error());
  if (unshare(CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS) != 0)
    return failed("cannot make namespaces");
  return stays ? stay_in(root) : enter_root(root, *tree);
}

Result<void> allow_calls(std::span<const std::string_view> own) {
  std::vector<std::string_view> names(std::begin(kCommonCalls), std::end(kCommonCalls));
  names.insert(names.end(), own.begin(), own.end());
  return sys::allow_only(names);
}

}  // namespace

Result<Worker> confine_unpacker(int root) {
  TRY_VOID(confine_to(root, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, true));
  TRY_VOID(sys::drop_capabilities(kUnpackCapabilities));
  TRY(Worker worker, Worker::start());
  TRY_VOID(allow_calls(kUnpackCalls));
  return worker;
}

Result<Worker> confine_object_unpacker(int root, int store) {
  if (store >= 0) {
    TRY(sys::Fd copy, copy_mount(store, kReadOnly));
    if (dup3(copy.get(), store, O_CLOEXEC) < 0) return failed("cannot keep the objects");
  }
  // The tree of a layer's names is mapped.
  TRY_VOID(confine_to(root, MOUNT_ATTR_NODEV | MOUNT_ATTR_NOSUID | MOUNT_ATTR_NOEXEC, false,
                      kAddressSpace + Arena::kMax));
  TRY_VOID(sys::drop_capabilities({}));
  TRY(Worker worker, Worker::start());
  TRY_VOID(allow_calls(kObjectCalls));
  return worker;
}

Result<Worker> confine_rebuilder(int objects) {
  TRY_VOID(confine_to(objects, kReadOnly, false));
  TRY_VOID(sys::drop_capabilities({}));
  TRY(Worker worker, Worker::start());
  TRY_VOID(allow_calls(kRebuildCalls));
  return worker;
}

Result<PackerConfinement> confine_packer(int root) {
  TRY_VOID(confine_to(root, kReadOnly, false));
  TRY_VOID(sys::drop_capabilities(kOpaqueCapabilities));
  TRY(OpaqueDirectories opaque, find_opaque(root));
  TRY_VOID(sys::drop_capabilities(kPackCapabilities));
  TRY(Worker worker, Worker::start());
  TRY_VOID(allow_calls(kPackCalls));
  return PackerConfinement{std::move(worker), std::move(opaque)};
}

}  // namespace wherry::archive
