// A process that runs in the foreground of `run` or `exec`: signals are passed on to it, the
// caller's terminal is relayed to its own, and its end is waited for.
#pragma once

#include <signal.h>
#include <sys/ioctl.h>
#include <sys/types.h>
#include <termios.h>

#include <optional>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::ocicli {

// Blocks all signals that can be passed on, from before the process is made, so that none is lost;
// they arrive through fd(). The container's own stage resets its mask.
class SignalRelay {
 public:
  static Result<SignalRelay> block();
  SignalRelay(SignalRelay&&) noexcept = default;
  int fd() const { return fd_.get(); }

 private:
  explicit SignalRelay(sys::Fd fd) : fd_(std::move(fd)) {}
  sys::Fd fd_;
};

// The caller's terminal without echo and line editing, restored when the object ends.
class RawTerminal {
 public:
  // Empty when standard input is no terminal.
  static RawTerminal enter();
  RawTerminal(RawTerminal&& other) noexcept : saved_(other.saved_) { other.saved_.reset(); }
  ~RawTerminal();

 private:
  RawTerminal() = default;
  std::optional<termios> saved_;
};

// The size of the caller's terminal; nullopt when standard input is no terminal, or one that does
// not know its size.
std::optional<winsize> callers_size();

// Gives `console`, the master of the process's terminal, the size of the caller's, if it has one.
// To be called before the program runs, which may ask at once, and with the signals blocked:
// attend() passes on what changes later.
void pass_size_on(int console);

struct ForegroundProcess {
  pid_t pid = 0;
  int pidfd = -1;
  int console = -1;         // the master of its terminal; -1: none
  bool reap_others = true;  // orphans of the container come to us
};

// Returns when the process has ended; it is not reaped yet.
Result<void> attend(const ForegroundProcess& process, const SignalRelay& signals);

// Orphans become our children.
Result<void> become_subreaper();

}  // namespace wherry::ocicli
