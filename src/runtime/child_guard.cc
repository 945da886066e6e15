#include "runtime/child_guard.h"

#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/text.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

Error unexpected() {
  return Error(ErrorKind::kInternal, "unexpected message from the container's first stage");
}

}  // namespace

Result<StageReport> hear_until_ready(Channel& channel,
                                     const std::function<Result<void>(MessageType)>& answer) {
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
      case MessageType::kHooks:
      case MessageType::kMapUsers:
        if (!answer) return unexpected();
        TRY_VOID(answer(message->type));
        break;
      default:
        return unexpected();
    }
  }
}

Result<void> hear_execve(Channel& channel, const std::function<Result<void>(int)>& take_listener) {
  TRY(std::optional<Message> message, channel.receive());
  if (message && message->type == MessageType::kListener && take_listener) {
    std::optional<uint64_t> number = parse_u64(message->text);
    if (!number || *number > INT32_MAX) return unexpected();
    TRY_VOID(take_listener(static_cast<int>(*number)));
    TRY_VOID(channel.send(MessageType::kListenerTaken));
    TRY(message, channel.receive());
  }
  if (!message) return {};
  if (message->type != MessageType::kFailed) return unexpected();
  return std::move(*message->error);
}

Result<void> start_stage(Channel& channel, const std::function<Result<void>(int)>& take_listener) {
  TRY_VOID(channel.send(MessageType::kStart));
  return hear_execve(channel, take_listener);
}

Result<void> start_waiting_stage(Channel& channel,
                                 const std::function<Result<void>(int)>& take_listener) {
  Result<void> sent = channel.send(MessageType::kStart);
  Result<std::optional<Message>> answer =
      sent ? channel.receive() : Result<std::optional<Message>>(std::nullopt);
  if (!answer) return Error(std::move(answer.error()));
  if (!*answer)
    return Error(ErrorKind::kConflict, "the container was started by somebody else, or is gone");
  if ((*answer)->type != MessageType::kReady) return unexpected();
  return hear_execve(channel, take_listener);
}

Result<sys::Fd> fetch_fd(int pidfd, int number) {
  sys::Fd fd(static_cast<int>(syscall(SYS_pidfd_getfd, pidfd, number, 0)));
  if (!fd) return Error::from_errno(errno, "cannot fetch the seccomp listener");
  return fd;
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
