// The parent's side of a stage between clone and execve: hears it out, and kills and reaps it
// unless it has come to something.
#pragma once

#include <sys/types.h>

#include <functional>
#include <string>
#include <vector>

#include "runtime/container.h"
#include "runtime/sync.h"
#include "sys/fd.h"

namespace wherry::runtime {

// What a stage says until it is ready.
struct StageReport {
  std::vector<std::string> warnings;
  sys::Fd console;
};
// Returns at kReady; a kFailed is returned as its error, an early end as kInternal. `answer` does
// what the stage asks its parent for (kMapUsers, kHooks), or is empty.
Result<StageReport> hear_until_ready(
    Channel& channel, const std::function<Result<void>(MessageType)>& answer = nullptr);

// Sends kStart and waits for the execve (the end of the conversation) or its failure.
// `take_listener` gets the number of a seccomp listener's fd in the child, when there is one.
Result<void> start_stage(Channel& channel,
                         const std::function<Result<void>(int)>& take_listener = nullptr);

// The second half of start_stage, for a stage that has been sent kStart.
Result<void> hear_execve(Channel& channel,
                         const std::function<Result<void>(int)>& take_listener = nullptr);

// As start_stage over a connection to a start socket; kConflict when somebody else was first.
Result<void> start_waiting_stage(Channel& channel,
                                 const std::function<Result<void>(int)>& take_listener);
// A duplicate of the fd `number` of another process.
Result<sys::Fd> fetch_fd(int pidfd, int number);

// Waits for the end of the process and reaps it.
Result<Container::Exit> reap_process(int pidfd);
// SIGKILL, then reap. A process that is gone is fine.
void kill_and_reap(int pidfd);

// Standard streams that are closed would give their numbers to fds that must not be there.
Result<void> ensure_standard_fds();

// The calling process's children are born in the pid namespace of `fd` (an nsfs fd or a pidfd)
// until this object ends.
class PidNamespaceForChildren {
 public:
  static Result<PidNamespaceForChildren> enter(int fd);
  PidNamespaceForChildren(PidNamespaceForChildren&&) noexcept = default;
  PidNamespaceForChildren& operator=(PidNamespaceForChildren&&) noexcept = default;
  ~PidNamespaceForChildren();

 private:
  explicit PidNamespaceForChildren(sys::Fd own) : own_(std::move(own)) {}
  sys::Fd own_;
};

}  // namespace wherry::runtime
