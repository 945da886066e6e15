#include "cli/supervised.h"

#include <poll.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cerrno>

#include "base/clock.h"
#include "cli/output.h"
#include "sys/clone.h"
#include "sys/process.h"

namespace wherry::cli {
namespace {

constexpr int kGraceMs = 700;
// Helpers die with the child, a step's monitor ends when its client has gone.
constexpr int64_t kOrphansNs = 3'000'000'000;

class Supervisor {
 public:
  // The mask is the child's too: it hears of signals through `stop` alone.
  static Result<Supervisor> prepare() {
    Supervisor supervisor;
    sigset_t set;
    sigemptyset(&set);
    for (int number : {SIGINT, SIGTERM, SIGHUP}) sigaddset(&set, number);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    supervisor.signals_.reset(signalfd(-1, &set, SFD_CLOEXEC | SFD_NONBLOCK));
    if (!supervisor.signals_) return Error::from_errno(errno, "cannot watch for signals");
    // What the child leaves when it is killed comes to us and can be waited for.
    if (prctl(PR_SET_CHILD_SUBREAPER, 1) != 0)
      return Error::from_errno(errno, "cannot become a reaper");
    TRY(supervisor.stop_, sys::make_pipe());
    return supervisor;
  }

  Result<void> start(const std::function<int(int stop)>& work) {
    pid_t parent = getpid();
    // Not clone_process(): this child has a C library's life before it, threads included.
    pid_t pid = fork();
    if (pid < 0) return Error::from_errno(errno, "cannot start the work");
    if (pid == 0) {
      signals_.reset();
      stop_.write.reset();
      // The parent may have died before it could be asked for.
      if (!sys::die_with_parent() || getppid() != parent) _exit(1);
      _exit(work(stop_.read.get()));
    }
    stop_.read.reset();
    TRY(sys::Fd pidfd, sys::open_process(pid, sys::process_start_time(pid).value_or(0)));
    child_ = sys::Child(pid, std::move(pidfd));
    return {};
  }

  // The signal that stopped the work; 0: none came.
  int watch() {
    int received = 0;
    int64_t deadline = 0;
    for (;;) {
      pollfd polls[] = {{child_.pidfd(), POLLIN, 0}, {signals_.get(), POLLIN, 0}};
      int left = received == 0 ? -1 : static_cast<int>((deadline - monotonic_ns()) / 1000000);
      int ready = received != 0 && left <= 0 ? 0 : poll(polls, std::size(polls), left);
      if (ready < 0 && errno == EINTR) continue;
      if (polls[0].revents != 0) return received;
      int signal = ready > 0 ? take_signal() : 0;
      if (ready > 0 && signal == 0) continue;
      if (received != 0 || ready < 0) {
        kill();
        return received;
      }
      received = signal;
      deadline = monotonic_ns() + int64_t{kGraceMs} * 1000000;
      [[maybe_unused]] Result<void> asked = sys::write_all(stop_.write.get(), "x");
    }
  }

  bool killed() const { return killed_; }
  Result<int> wait() { return child_.wait(); }

  // Until all that were the child's have ended.
  static void reap_orphans() {
    int64_t deadline = monotonic_ns() + kOrphansNs;
    sigset_t set;
    sigemptyset(&set);
    sigaddset(&set, SIGCHLD);
    sigprocmask(SIG_BLOCK, &set, nullptr);
    for (;;) {
      pid_t reaped = waitpid(-1, nullptr, WNOHANG);
      if (reaped > 0) continue;
      int64_t left = deadline - monotonic_ns();
      if (reaped < 0 || left <= 0) return;
      timespec limit{left / 1'000'000'000, left % 1'000'000'000};
      sigtimedwait(&set, nullptr, &limit);
    }
  }

 private:
  void kill() {
    killed_ = true;
    [[maybe_unused]] Result<void> sent = child_.signal(SIGKILL);
  }

  int take_signal() {
    signalfd_siginfo info{};
    return read(signals_.get(), &info, sizeof info) == sizeof info
               ? static_cast<int>(info.ssi_signo)
               : 0;
  }

  sys::Fd signals_;
  sys::Pipe stop_;
  sys::Child child_;
  bool killed_ = false;
};

// As the child died: whoever waits for us must see it. A core of the child is enough.
[[noreturn]] void die_by(int signal) {
  rlimit none{};
  setrlimit(RLIMIT_CORE, &none);
  ::signal(signal, SIG_DFL);
  raise(signal);
  _exit(128 + signal);
}

}  // namespace

Result<int> run_supervised(const std::function<int(int stop)>& work,
                           const std::function<Result<void>()>& take_back) {
  TRY(Supervisor supervisor, Supervisor::prepare());
  TRY_VOID(supervisor.start(work));
  int received = supervisor.watch();
  TRY(int code, supervisor.wait());
  if (supervisor.killed()) {
    Supervisor::reap_orphans();
    TRY_VOID(take_back());
    report_error(Error(ErrorKind::kUnavailable, "canceled"));
  } else if (code > 128 && code < 128 + SIGRTMAX && received == 0) {
    die_by(code - 128);
  }
  // Work that was done before it heard of the signal is done.
  return received == 0 || code == 0 ? code : 128 + received;
}

}  // namespace wherry::cli
