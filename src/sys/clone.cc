#include "sys/clone.h"

#include <fcntl.h>
#include <linux/sched.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/syscall.h>

#include <cerrno>

namespace wherry::sys {

Result<Cloned> clone_process(const CloneOptions& options) {
  int pidfd = -1;
  clone_args args{};
  args.flags = options.namespaces | CLONE_PIDFD;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  // A sibling takes ours.
  args.exit_signal = options.sibling ? 0 : SIGCHLD;
  if (options.sibling) args.flags |= CLONE_PARENT;
  if (options.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(options.cgroup_fd);
  }
  long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid < 0) return Error::from_errno(errno, "cannot clone a process");
  Cloned cloned;
  cloned.pid = static_cast<pid_t>(pid);
  if (pid > 0) cloned.pidfd.reset(pidfd);
  return cloned;
}

Result<Fd> make_network_namespace(const std::function<Result<void>()>& furnish) {
  constexpr const char* kContext = "cannot make a network namespace";
  constexpr const char* kOwn = "/proc/self/ns/net";
  TRY_CTX(const Fd own, open_file(kOwn, O_RDONLY), kContext);
  if (unshare(CLONE_NEWNET) != 0) return Error::from_errno(errno, kContext);
  Result<Fd> made = open_file(kOwn, O_RDONLY);
  const Result<void> furnished = made && furnish ? furnish() : Result<void>();
  if (setns(own.get(), CLONE_NEWNET) != 0) return Error::from_errno(errno, kContext);
  if (!made) return fail(std::move(made), kContext);
  TRY_VOID_CTX(furnished, kContext);
  return made;
}

Result<void> die_with_parent() {
  if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) == 0) return {};
  return Error::from_errno(errno, "cannot ask for a parent-death signal");
}

}  // namespace wherry::sys
