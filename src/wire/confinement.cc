#include "wire/confinement.h"

#include <grp.h>
#include <signal.h>
#include <unistd.h>

#include <cerrno>
#include <string_view>

#include "sys/confine.h"

namespace wherry::wire {
namespace {

// The user of no files: what only root may read stays unread.
constexpr unsigned kNobody = 65534;
constexpr uint64_t kFiles = 512;

constexpr std::string_view kSystemCalls[] = {
    // the network, with the resolver and its threads
    "socket", "socketpair", "connect", "bind", "getsockname", "getpeername", "getsockopt",
    "setsockopt", "sendto", "recvfrom", "sendmsg", "recvmsg", "sendmmsg", "recvmmsg", "shutdown",
    "poll", "ppoll", "select", "pselect6", "epoll_create1", "epoll_ctl", "epoll_wait",
    "epoll_pwait", "eventfd2", "pipe2", "ioctl", "clone", "clone3", "set_robust_list",
    "set_tid_address", "rseq", "futex", "sched_yield", "sched_getaffinity", "membarrier",
    // certificates, hosts, resolv.conf and the resolver's libraries
    "openat", "read", "readv", "pread64", "write", "writev", "close", "fstat", "newfstatat", "stat",
    "lstat", "statx", "statfs", "lseek", "access", "faccessat", "faccessat2", "readlink",
    "readlinkat", "getdents64", "fcntl", "dup", "dup2", "dup3", "getcwd", "fadvise64",
    // memory, time, identity and the end
    "brk", "mmap", "munmap", "mremap", "mprotect", "madvise", "getrandom", "clock_gettime",
    "clock_nanosleep", "nanosleep", "gettimeofday", "time", "uname", "sysinfo", "prlimit64",
    "getrlimit", "getuid", "geteuid", "getgid", "getegid", "getpid", "gettid", "tgkill", "kill",
    "rt_sigaction", "rt_sigprocmask", "rt_sigreturn", "sigaltstack", "restart_syscall", "exit",
    "exit_group"};

}  // namespace

Result<void> confine_transfer() {
  signal(SIGPIPE, SIG_IGN);
  if (geteuid() == 0 && (setgroups(0, nullptr) != 0 || setresgid(kNobody, kNobody, kNobody) != 0 ||
                         setresuid(kNobody, kNobody, kNobody) != 0))
    return Error::from_errno(errno, "cannot leave the root user");
  // After the change of user, which would undo the tie to the parent.
  TRY_VOID(sys::limit_process(/*address_space=*/0, kFiles));
  TRY_VOID(sys::drop_capabilities({}));
  return sys::allow_only(kSystemCalls);
}

}  // namespace wherry::wire
