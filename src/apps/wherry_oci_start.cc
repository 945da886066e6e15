// wherry-oci's first instructions, before libc's: the seal of src/ocicli/seal.h at a third of its
// price.
//
// Commands that enter containers execute the program again from a read-only mount of its own
// directory. Doing so in main() would pay twice for what is done before it (relocations,
// constructors: 0.1 ms, and 0.5 in a virtual machine where libc_start.cc is not used), so the
// program's entry is wherry_start below. It only ever tries: on any failure, or when there is
// nothing to seal, libc starts as usual, and main() (ensure_sealed) checks, falls back and
// explains. Hence a word that is no command but looks like one (a container called "run") costs an
// execve and nothing else.
//
// There is no libc yet: no errno, no stack protector, no relocated pointer, no call into another
// file. Not part of builds with sanitizers, nor of those that leave out defences for tests.
#include <fcntl.h>
#include <linux/mount.h>
#include <sys/stat.h>
#include <sys/statfs.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>

#include "sys/raw_syscall.h"

using wherry::sys::raw_address;
using wherry::sys::raw_syscall;

namespace {

constexpr long kPathSize = 4096;

#if defined(__x86_64__)
asm(R"(
.text
.globl wherry_start
.type wherry_start, @function
wherry_start:
  xor %ebp, %ebp
  mov %rdx, %rbx
  mov %rsp, %r12
  mov %rsp, %rdi
  and $-16, %rsp
  call wherry_early_seal
  mov %r12, %rsp
  mov %rbx, %rdx
  jmp _start
)");

#elif defined(__aarch64__)
asm(R"(
.text
.globl wherry_start
.type wherry_start, %function
wherry_start:
  mov x19, x0
  mov x0, sp
  bl wherry_early_seal
  mov x0, x19
  b _start
)");

#endif

bool same(const char* a, const char* b) {
  while (*a != '\0' && *a == *b) {
    ++a;
    ++b;
  }
  return *a == *b;
}

bool enters_containers(char** argv) {
  for (char** word = argv; *word != nullptr; ++word)
    if (same(*word, "create") || same(*word, "run") || same(*word, "exec") ||
        same(*word, "restore"))
      return true;
  return false;
}

// Of the file that runs; false where it is read-only already.
bool needs_seal(long self, struct stat& status) {
  struct statfs place{};
  if (raw_syscall(SYS_fstatfs, self, raw_address(&place)) != 0) return false;
  if ((static_cast<unsigned long>(place.f_flags) & ST_RDONLY) != 0) return false;
  return raw_syscall(SYS_fstat, self, raw_address(&status)) == 0;
}

void execute_read_only(const struct stat& ours, char** argv, char** environment) {
  char path[kPathSize];
  long size = raw_syscall(SYS_readlinkat, AT_FDCWD, raw_address("/proc/self/exe"),
                          raw_address(path), kPathSize - 1);
  if (size <= 0) return;
  path[size] = '\0';
  long slash = size;
  while (slash >= 0 && path[slash] != '/') --slash;
  if (slash < 0) return;
  path[slash] = '\0';
  const char* directory = slash == 0 ? "/" : path;
  const char* name = path + slash + 1;
  long view = raw_syscall(SYS_open_tree, AT_FDCWD, raw_address(directory),
                          OPEN_TREE_CLONE | static_cast<long>(OPEN_TREE_CLOEXEC));
  if (view < 0) return;
  mount_attr attributes{MOUNT_ATTR_RDONLY, 0, 1UL << 18 /* MS_PRIVATE */, 0};
  // What is at the name now must be what runs: another one may have been installed meanwhile.
  struct stat named{};
  bool ready = raw_syscall(SYS_mount_setattr, view, raw_address(""), AT_EMPTY_PATH,
                           raw_address(&attributes), sizeof attributes) == 0 &&
               raw_syscall(SYS_newfstatat, view, raw_address(name), raw_address(&named),
                           AT_SYMLINK_NOFOLLOW) == 0 &&
               named.st_dev == ours.st_dev && named.st_ino == ours.st_ino;
  if (ready)
    raw_syscall(SYS_execveat, view, raw_address(name), raw_address(argv), raw_address(environment),
                AT_SYMLINK_NOFOLLOW);
  raw_syscall(SYS_close, view);
}

}  // namespace

// `stack` as the kernel leaves it: argc, argv, an end, the environment, an end.
extern "C" [[gnu::used, gnu::visibility("hidden")]] void wherry_early_seal(long* stack) {
  auto** argv = reinterpret_cast<char**>(stack + 1);
  char** environment = argv + stack[0] + 1;
  if (!enters_containers(argv)) return;
  long self = raw_syscall(SYS_openat, AT_FDCWD, raw_address("/proc/self/exe"), O_PATH | O_CLOEXEC);
  if (self < 0) return;
  struct stat ours{};
  if (needs_seal(self, ours)) execute_read_only(ours, argv, environment);
  raw_syscall(SYS_close, self);
}
