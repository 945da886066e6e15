#include "ocicli/foreground.h"

#include <poll.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/signalfd.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>
#include <string>

#include "sys/process.h"

namespace wherry::ocicli {
namespace {

// One direction of the terminal: what was read and not yet written.
class Direction {
 public:
  Direction(int from, int to) : from_(from), to_(to) {}

  bool wants_input() const { return from_ >= 0 && size_ == 0; }
  bool wants_output() const { return size_ > 0; }
  int from() const { return from_; }
  int to() const { return to_; }

  // False at the end of the input.
  bool read_some() {
    ssize_t got = read(from_, buffer_.data(), buffer_.size());
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return true;
    if (got <= 0) {
      from_ = -1;
      return false;
    }
    begin_ = 0;
    size_ = static_cast<size_t>(got);
    return true;
  }

  void write_some() {
    ssize_t written = write(to_, buffer_.data() + begin_, size_);
    if (written < 0 && (errno == EINTR || errno == EAGAIN)) return;
    // Nobody listens any more: the process goes on all the same.
    size_t done = written < 0 ? size_ : static_cast<size_t>(written);
    begin_ += done;
    size_ -= done;
  }

 private:
  int from_;
  int to_;
  std::array<char, 16384> buffer_{};
  size_t begin_ = 0;
  size_t size_ = 0;
};

// Everybody's zombies but the process's own, whose code is read by its owner.
void reap_orphans(pid_t but) {
  for (;;) {
    siginfo_t info{};
    if (waitid(P_ALL, 0, &info, WEXITED | WNOHANG | WNOWAIT) != 0 || info.si_pid == 0) return;
    if (info.si_pid == but) return;  // the loop ends by its pidfd
    waitpid(info.si_pid, nullptr, WNOHANG);
  }
}

class Attendant {
 public:
  Attendant(const ForegroundProcess& process, const SignalRelay& signals)
      : process_(process),
        signals_(signals),
        input_(process.console >= 0 ? STDIN_FILENO : -1, process.console),
        output_(process.console, STDOUT_FILENO) {}

  Result<void> run() {
    while (!ended_) TRY_VOID(step());
    drain();
    return {};
  }

 private:
  Result<void> step() {
    std::array<pollfd, 6> events{{
        {process_.pidfd, POLLIN, 0},
        {signals_.fd(), POLLIN, 0},
        {input_.wants_input() ? input_.from() : -1, POLLIN, 0},
        {input_.wants_output() ? input_.to() : -1, POLLOUT, 0},
        {output_.wants_input() ? output_.from() : -1, POLLIN, 0},
        {output_.wants_output() ? output_.to() : -1, POLLOUT, 0},
    }};
    if (poll(events.data(), events.size(), -1) < 0 && errno != EINTR)
      return Error::from_errno(errno, "cannot wait for the container");
    ended_ = events[0].revents != 0;
    if (events[1].revents != 0) TRY_VOID(take_signal());
    if (events[2].revents != 0 && !input_.read_some()) end_input();
    if (events[3].revents != 0) input_.write_some();
    if (events[4].revents != 0) output_.read_some();
    if (events[5].revents != 0) output_.write_some();
    return {};
  }

  // The end of a pipe is what ^D is at a terminal.
  void end_input() {
    char end_of_file = 4;
    [[maybe_unused]] ssize_t written = write(process_.console, &end_of_file, 1);
  }

  Result<void> take_signal() {
    signalfd_siginfo info{};
    ssize_t got = read(signals_.fd(), &info, sizeof info);
    if (got != static_cast<ssize_t>(sizeof info)) return {};
    int number = static_cast<int>(info.ssi_signo);
    if (number == SIGCHLD) {
      if (process_.reap_others) reap_orphans(process_.pid);
      return {};
    }
    if (number == SIGWINCH && process_.console >= 0) {
      pass_size_on(process_.console);
      return {};
    }
    Result<void> passed = sys::signal_process(process_.pidfd, number);
    // Ended in between: the next step sees it.
    if (!passed && passed.error().errnum() != ESRCH) return passed;
    return {};
  }

  // What the process wrote before its end is still in the terminal.
  void drain() {
    while (output_.wants_output()) output_.write_some();
    if (process_.console < 0) return;
    pollfd event{process_.console, POLLIN, 0};
    while (output_.wants_input() && poll(&event, 1, 0) > 0 && (event.revents & POLLIN) != 0 &&
           output_.read_some())
      while (output_.wants_output()) output_.write_some();
  }

  const ForegroundProcess& process_;
  const SignalRelay& signals_;
  Direction input_;
  Direction output_;
  bool ended_ = false;
};

}  // namespace

Result<SignalRelay> SignalRelay::block() {
  sigset_t all;
  sigfillset(&all);
  // Faults of our own, and what writing to a closed stream must only be an error for.
  for (int number : {SIGSEGV, SIGBUS, SIGFPE, SIGILL, SIGTRAP, SIGABRT, SIGSYS, SIGPIPE, SIGURG})
    sigdelset(&all, number);
  if (sigprocmask(SIG_BLOCK, &all, nullptr) != 0)
    return Error::from_errno(errno, "cannot block signals");
  sys::Fd fd(signalfd(-1, &all, SFD_CLOEXEC | SFD_NONBLOCK));
  if (!fd) return Error::from_errno(errno, "cannot receive signals");
  return SignalRelay(std::move(fd));
}

RawTerminal RawTerminal::enter() {
  RawTerminal terminal;
  termios settings{};
  if (tcgetattr(STDIN_FILENO, &settings) != 0) return terminal;
  terminal.saved_ = settings;
  cfmakeraw(&settings);
  // The container's terminal makes its own line ends; ours must not drop its carriage returns.
  tcsetattr(STDIN_FILENO, TCSANOW, &settings);
  return terminal;
}

RawTerminal::~RawTerminal() {
  if (saved_) tcsetattr(STDIN_FILENO, TCSANOW, &*saved_);
}

std::optional<winsize> callers_size() {
  winsize size{};
  if (ioctl(STDIN_FILENO, TIOCGWINSZ, &size) != 0) return std::nullopt;
  if (size.ws_row == 0 && size.ws_col == 0) return std::nullopt;
  return size;
}

void pass_size_on(int console) {
  if (std::optional<winsize> size = callers_size()) ioctl(console, TIOCSWINSZ, &*size);
}

Result<void> attend(const ForegroundProcess& process, const SignalRelay& signals) {
  return Attendant(process, signals).run();
}

Result<void> become_subreaper() {
  if (prctl(PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot reap the container's orphans");
  return {};
}

}  // namespace wherry::ocicli
