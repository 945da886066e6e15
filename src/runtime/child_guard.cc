#include "runtime/child_guard.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/wait.h>

#include <cerrno>

#include "sys/process.h"

namespace wherry::runtime {
namespace {

Error unexpected() {
  return Error(ErrorKind::kInternal, "unexpected message from the container's first stage");
}

}  // namespace

Result<StageReport> hear_until_ready(Channel& channel) {
  StageReport report;
  for (;;) {
    TRY(std::optional<Message> message, channel.receive());
    if (!message)
      return Error(ErrorKind::kInternal, "the container's first process died before it was ready");
    switch (message->type) {
      case MessageType::kWarning:
        report.warnings.push_back(std::move(message->text));
        break;
      case MessageType::kConsole:
        report.console = std::move(message->console);
        break;
      case MessageType::kReady:
        return report;
      case MessageType::kFailed:
        return std::move(*message->error);
      default:
        return unexpected();
    }
  }
}

Result<void> start_stage(Channel& channel) {
  TRY_VOID(channel.send(MessageType::kStart));
  TRY(std::optional<Message> message, channel.receive());
  if (!message) return {};
  if (message->type != MessageType::kFailed) return unexpected();
  return std::move(*message->error);
}

Result<Container::Exit> reap_process(int pidfd) {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd), &info, WEXITED) != 0)
    if (errno != EINTR) return Error::from_errno(errno, "cannot reap the process");
  Container::Exit exit;
  exit.signal = info.si_code == CLD_EXITED ? 0 : info.si_status;
  exit.code = exit.signal == 0 ? info.si_status : 128 + info.si_status;
  return exit;
}

void kill_and_reap(int pidfd) {
  [[maybe_unused]] Result<void> killed = sys::signal_process(pidfd, SIGKILL);
  [[maybe_unused]] Result<Container::Exit> reaped = reap_process(pidfd);
}

Result<void> ensure_standard_fds() {
  for (int fd = 0; fd <= 2; ++fd) {
    if (fcntl(fd, F_GETFD) >= 0) continue;
    // The lowest free number is this one: those below are open by now.
    if (open("/dev/null", O_RDWR) != fd)
      return Error::from_errno(errno, "cannot open '/dev/null' as a standard stream");
  }
  return {};
}

Result<PidNamespaceForChildren> PidNamespaceForChildren::enter(int fd) {
  TRY(sys::Fd own, sys::open_file("/proc/self/ns/pid", O_RDONLY));
  if (setns(fd, CLONE_NEWPID) != 0)
    return Error::from_errno(errno, "cannot join the pid namespace");
  return PidNamespaceForChildren(std::move(own));
}

PidNamespaceForChildren::~PidNamespaceForChildren() {
  // One's own namespace can always be joined again (pid_namespaces(7)).
  if (own_) setns(own_.get(), CLONE_NEWPID);
}

}  // namespace wherry::runtime
