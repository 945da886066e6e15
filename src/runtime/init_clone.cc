// How a container's init comes to life in its namespaces.
#include <sched.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cerrno>

#include "runtime/child_guard.h"
#include "runtime/init.h"
#include "runtime/process_stage.h"

namespace wherry::runtime {
namespace {

const sys::Fd* joined_of(const InitPlan& init, int type) {
  for (const auto& [known, fd] : init.joined)
    if (known == type) return &fd;
  return nullptr;
}

// The cgroup namespace comes later: its root is where its maker is by then. The time namespace was
// made by the parent, for its children.
sys::CloneOptions options_for(const InitPlan& init) {
  sys::CloneOptions clone;
  clone.namespaces =
      init.plan->namespaces.fresh & ~uint64_t{CLONE_NEWCGROUP} & ~uint64_t{CLONE_NEWTIME};
  if (init.network_made) clone.namespaces &= ~uint64_t{CLONE_NEWNET};
  return clone;
}

// The stage between, for a user namespace that exists already: new namespaces must belong to it, so
// whoever makes them has to be in it, and our own process cannot come back. Reports the pid.
[[noreturn]] void run_between(InitPlan& init, ChannelPair& channels, const sys::Pipe& report) {
  auto stage = [&]() -> Result<pid_t> {
    if (setns(joined_of(init, CLONE_NEWUSER)->get(), CLONE_NEWUSER) != 0)
      return Error::from_errno(errno, "cannot join the user namespace");
    const sys::Fd* pids = joined_of(init, CLONE_NEWPID);
    if (pids != nullptr && setns(pids->get(), CLONE_NEWPID) != 0)
      return Error::from_errno(errno, "cannot join the pid namespace");
    sys::CloneOptions clone = options_for(init);
    clone.sibling = true;
    TRY(sys::Cloned cloned, sys::clone_process(clone));
    if (cloned.pid == 0) run_init(init, channels);
    return cloned.pid;
  };
  const Result<pid_t> pid = stage();
  if (!pid) [[maybe_unused]]
    const Result<void> sent = channels.child.send_error(pid.error());
  const pid_t number = pid ? *pid : 0;
  [[maybe_unused]] const ssize_t written = write(report.write.get(), &number, sizeof number);
  _exit(pid ? 0 : 1);
}

Result<sys::Cloned> clone_through_user_namespace(InitPlan& init, int cgroup_fd,
                                                 ChannelPair& channels) {
  TRY(sys::Pipe report, sys::make_pipe());
  sys::CloneOptions between;
  between.cgroup_fd = cgroup_fd;  // the init inherits it
  TRY(sys::Cloned stage, sys::clone_process(between));
  if (stage.pid == 0) run_between(init, channels, report);
  report.write.reset();
  pid_t pid = 0;
  const ssize_t got = read(report.read.get(), &pid, sizeof pid);
  TRY(const Container::Exit exit, reap_process(stage.pidfd.get()));
  if (got != static_cast<ssize_t>(sizeof pid) || pid <= 0 || exit.code != 0) {
    channels.child.close();
    TRY_VOID(hear_until_ready(channels.parent));
    return Error(ErrorKind::kInternal, "the container's first stage died");
  }
  // Our own child, by CLONE_PARENT: the number is its until we reap it.
  sys::Cloned cloned;
  cloned.pid = pid;
  cloned.pidfd.reset(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!cloned.pidfd) return Error::from_errno(errno, "cannot watch the container's init");
  return cloned;
}

}  // namespace

Result<sys::Cloned> clone_into_namespaces(InitPlan& init, int cgroup_fd, ChannelPair& channels) {
  if (joined_of(init, CLONE_NEWUSER) != nullptr)
    return clone_through_user_namespace(init, cgroup_fd, channels);
  std::optional<PidNamespaceForChildren> pid_namespace;
  if (const sys::Fd* pids = joined_of(init, CLONE_NEWPID)) {
    TRY(pid_namespace, PidNamespaceForChildren::enter(pids->get()));
  }
  sys::CloneOptions clone = options_for(init);
  clone.cgroup_fd = cgroup_fd;
  TRY(sys::Cloned cloned, sys::clone_process(clone));
  if (cloned.pid == 0) run_init(init, channels);
  return cloned;
}

}  // namespace wherry::runtime
