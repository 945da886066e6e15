#include "cli/stream.h"

#include <poll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <climits>

#include "cli/terminal.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr size_t kInputChunk = 32768;
constexpr size_t kOutputHigh = 256 << 10;

// SIGCHLD, SIGPIPE and SIGURG mean nothing to a container; faults and job control are our own.
bool handled(int number) {
  switch (number) {
    case SIGCHLD:
    case SIGPIPE:
    case SIGURG:
    case SIGSEGV:
    case SIGBUS:
    case SIGILL:
    case SIGFPE:
    case SIGTRAP:
    case SIGTTIN:
    case SIGTTOU:
    case SIGKILL:
    case SIGSTOP:
      return false;
    default:
      return number < 32 || number >= SIGRTMIN;
  }
}

// Of the handled signals those whose default would have ended us.
bool would_end_us(int number) {
  return number != SIGWINCH && number != SIGCONT && number != SIGTSTP;
}

// What waits for one of our outputs.
class Output {
 public:
  explicit Output(int fd) : fd_(fd) {
    struct stat status{};
    if (fstat(fd, &status) == 0) {
      pipe_ = S_ISFIFO(status.st_mode) || S_ISCHR(status.st_mode);
      socket_ = S_ISSOCK(status.st_mode);
    }
  }

  int fd() const { return fd_; }
  bool waiting() const { return at_ < data_.size(); }
  bool full() const { return data_.size() - at_ > kOutputHigh; }

  void add(std::string_view data) {
    if (at_ == data_.size()) {
      data_.clear();
      at_ = 0;
    }
    data_ += data;
  }

  // After poll said that it can be written.
  Result<void> flush_some() {
    size_t size = data_.size() - at_;
    if (pipe_) size = std::min<size_t>(size, PIPE_BUF);
    ssize_t written = socket_ ? send(fd_, data_.data() + at_, size, MSG_DONTWAIT | MSG_NOSIGNAL)
                              : write(fd_, data_.data() + at_, size);
    if (written < 0) {
      if (errno == EINTR || errno == EAGAIN) return {};
      return Error::from_errno(errno, fd_ == STDOUT_FILENO ? "cannot write to standard output"
                                                           : "cannot write to standard error");
    }
    at_ += static_cast<size_t>(written);
    return {};
  }

 private:
  int fd_;
  bool pipe_ = false;
  bool socket_ = false;
  std::string data_;
  size_t at_ = 0;
};

class Relay {
 public:
  Relay(engine::Session& session, const StreamOptions& options, int signals, std::string detach)
      : session_(session),
        options_(options),
        signals_(signals),
        detach_(std::move(detach)),
        reading_(options.input) {}

  Result<StreamEnd> run() {
    if (options_.resize_first) TRY_VOID(resize());
    for (;;) {
      if (ended_ && !out_.waiting() && !err_.waiting()) return *ended_;
      TRY(std::optional<StreamEnd> end, turn());
      if (end) return *end;
    }
  }

 private:
  enum Slot { kSession, kSignals, kStdin, kStdout, kStderr, kSlots };

  Result<std::optional<StreamEnd>> turn() {
    bool room = !ended_ && !out_.full() && !err_.full();
    bool pending = room && session_.has_pending();
    pollfd polls[kSlots] = {};
    short session_events = static_cast<short>(room ? POLLIN : 0);
    if (!input_.empty() || eof_pending_)
      session_events = static_cast<short>(session_events | POLLOUT);
    polls[kSession] = {ended_ || session_events == 0 ? -1 : session_.fd(), session_events, 0};
    polls[kSignals] = {signals_, POLLIN, 0};
    polls[kStdin] = {reading_ && input_.empty() && !ended_ ? STDIN_FILENO : -1, POLLIN, 0};
    polls[kStdout] = {out_.waiting() ? STDOUT_FILENO : -1, POLLOUT, 0};
    polls[kStderr] = {err_.waiting() ? STDERR_FILENO : -1, POLLOUT, 0};
    if (poll(polls, kSlots, pending ? 0 : -1) < 0) {
      if (errno == EINTR) return std::nullopt;
      return Error::from_errno(errno, "cannot poll");
    }
    if (polls[kSignals].revents != 0) {
      TRY(std::optional<StreamEnd> end, take_signal());
      if (end) return end;
    }
    for (auto [slot, output] : {std::pair{kStdout, &out_}, std::pair{kStderr, &err_}}) {
      if (polls[slot].revents == 0) continue;
      Result<void> flushed = output->flush_some();
      if (!flushed && flushed.error().errnum() == EPIPE)
        return StreamEnd{StreamEnd::Kind::kOutputGone, 128 + SIGPIPE};
      if (!flushed) return std::move(flushed.error());
    }
    if ((polls[kSession].revents & POLLOUT) != 0) TRY_VOID(send_input());
    if (polls[kStdin].revents != 0) {
      TRY(bool detached, read_input());
      if (detached) return StreamEnd{StreamEnd::Kind::kDetached, 0};
    }
    if (pending || (polls[kSession].revents & ~POLLOUT) != 0) TRY_VOID(take_event());
    return std::nullopt;
  }

  Result<void> take_event() {
    TRY(engine::Session::Event event, session_.next());
    switch (event.kind) {
      case engine::Session::Event::Kind::kOutput:
        (event.stream == 2 ? err_ : out_).add(event.data);
        break;
      case engine::Session::Event::Kind::kExited:
        ended_ = StreamEnd{StreamEnd::Kind::kExited, event.exit_code};
        break;
      case engine::Session::Event::Kind::kClosed:
        ended_ = StreamEnd{StreamEnd::Kind::kLost, 1};
        break;
    }
    return {};
  }

  // The session may have gone with the process while input was on its way: not an error, its end
  // follows.
  Result<void> send_input() {
    if (!input_.empty()) {
      Result<void> sent = session_.write_input(input_);
      input_.clear();
      if (!sent) reading_ = eof_pending_ = false;
      return {};
    }
    if (std::exchange(eof_pending_, false)) {
      Result<void> closed = session_.close_input();
      if (!closed) reading_ = false;
    }
    return {};
  }

  // True: the user has typed the detach keys.
  Result<bool> read_input() {
    char buffer[kInputChunk];
    ssize_t got = read(STDIN_FILENO, buffer, sizeof buffer);
    if (got < 0 && (errno == EINTR || errno == EAGAIN)) return false;
    // EIO: the terminal is gone. For the process that is the end of its input.
    if (got <= 0) {
      reading_ = false;
      eof_pending_ = true;
      return false;
    }
    std::string_view typed(buffer, static_cast<size_t>(got));
    if (!options_.tty) {
      input_ = typed;
      return false;
    }
    DetachKeys::Outcome outcome = detach_.feed(typed);
    input_ = std::move(outcome.data);
    if (outcome.detach && !input_.empty()) TRY_VOID(send_input());
    return outcome.detach;
  }

  Result<std::optional<StreamEnd>> take_signal() {
    signalfd_siginfo info{};
    if (read(signals_, &info, sizeof info) != static_cast<ssize_t>(sizeof info))
      return std::nullopt;
    int number = static_cast<int>(info.ssi_signo);
    if (number == SIGWINCH && options_.tty) {
      TRY_VOID(resize());
      return std::nullopt;
    }
    if (options_.sig_proxy && !options_.tty) {
      // A process that has just ended takes no signal; its exit is the next event.
      Result<void> sent = session_.signal(number);
      static_cast<void>(sent.has_value());
      return std::nullopt;
    }
    if (number == SIGTSTP) {
      raise(SIGSTOP);
      return std::nullopt;
    }
    if (!would_end_us(number)) return std::nullopt;
    return StreamEnd{StreamEnd::Kind::kSignalled, 128 + number};
  }

  Result<void> resize() {
    TerminalSize size = terminal_size();
    if (size.rows == 0 || size.columns == 0) return {};
    Result<void> resized = session_.resize(size.rows, size.columns);
    static_cast<void>(
        resized.has_value());  // the process may have ended: its exit is the next event
    return {};
  }

  engine::Session& session_;
  const StreamOptions& options_;
  int signals_;
  DetachKeys detach_;
  bool reading_;
  bool eof_pending_ = false;
  std::string input_;
  Output out_{STDOUT_FILENO};
  Output err_{STDERR_FILENO};
  std::optional<StreamEnd> ended_;
};

}  // namespace

SignalMask::SignalMask() {
  sigemptyset(&set_);
  for (int number = 1; number <= SIGRTMAX; ++number)
    if (handled(number)) sigaddset(&set_, number);
  sigprocmask(SIG_BLOCK, &set_, &before_);
}

SignalMask::~SignalMask() {
  sigprocmask(SIG_SETMASK, &before_, nullptr);
}

Result<StreamEnd> relay(engine::Session& session, const StreamOptions& options,
                        const SignalMask& mask) {
  TRY(std::string keys, parse_detach_keys(options.detach_keys));
  sys::Fd signals(signalfd(-1, &mask.set(), SFD_CLOEXEC | SFD_NONBLOCK));
  if (!signals) return Error::from_errno(errno, "cannot make a signalfd");
  std::optional<RawTerminal> raw;
  if (options.tty && options.input && is_terminal(STDIN_FILENO)) {
    TRY(RawTerminal entered, RawTerminal::enter(STDIN_FILENO));
    raw.emplace(std::move(entered));
  }
  return Relay(session, options, signals.get(), std::move(keys)).run();
}

Result<void> check_terminal(bool input, bool tty) {
  if (!input || !tty || is_terminal(STDIN_FILENO)) return {};
  return Error(ErrorKind::kInvalidArgument, "the input device is not a TTY")
      .set_hint("leave out -t, or give a terminal as standard input");
}

}  // namespace wherry::cli
