// The loop of an attached command: our stdin, stdout and stderr on one side, the engine's session
// on the other, until the process there has ended, the user detaches, or our standard output is
// gone.
//
// Backpressure: while an output is not taken, the session is not read; while the session takes no
// input, stdin is not read. Outputs are written without blocking wherever poll(2) lets us know
// (pipes by at most PIPE_BUF bytes). End of file on stdin reaches the process; output goes on.
#pragma once

#include <signal.h>

#include <string>

#include "engine/engine.h"

namespace wherry::cli {

struct StreamOptions {
  bool input = false;  // pass our stdin on
  bool tty = false;    // the process has a terminal: raw mode if ours is one, resizes, detach keys
  bool sig_proxy = true;  // pass signals on (never with tty)
  std::string detach_keys = "ctrl-p,ctrl-q";
  bool resize_first = false;  // send the terminal's size at the beginning (attach)
};

struct StreamEnd {
  enum class Kind {
    kExited,      // code is the process's
    kDetached,    // by the user's keys
    kOutputGone,  // our stdout or stderr is closed
    kSignalled,   // we were asked to end: code is 128 + signal
    kLost,        // the session closed without an exit
  } kind = Kind::kLost;
  int code = 0;
};

// Blocks the signals that relay() handles. Call before the process is started, so that none is
// lost. Restores the mask when it goes.
class SignalMask {
 public:
  SignalMask();
  SignalMask(const SignalMask&) = delete;
  SignalMask& operator=(const SignalMask&) = delete;
  ~SignalMask();

  const sigset_t& set() const { return set_; }

 private:
  sigset_t set_;
  sigset_t before_;
};

Result<StreamEnd> relay(engine::Session& session, const StreamOptions& options,
                        const SignalMask& mask);

// "the input device is not a TTY" (kInvalidArgument) when stdin is wanted as a terminal and is
// none.
Result<void> check_terminal(bool input, bool tty);

}  // namespace wherry::cli
