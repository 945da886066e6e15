// The user's terminal: raw mode that is always undone, its size, and detach keys.
#pragma once

#include <termios.h>

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::cli {

struct TerminalSize {
  uint16_t rows = 0;
  uint16_t columns = 0;
};

bool is_terminal(int fd);
// Of the first of stdout and stdin that is a terminal; zeros when neither is.
TerminalSize terminal_size();

// Raw mode of a terminal for as long as the object lives. All signals that would end the process
// are read from a signalfd meanwhile (stream.cc), so that the destructor runs on every way out.
class RawTerminal {
 public:
  static Result<RawTerminal> enter(int fd);
  RawTerminal(RawTerminal&& other) noexcept;
  RawTerminal& operator=(RawTerminal&&) = delete;
  RawTerminal(const RawTerminal&) = delete;
  ~RawTerminal();

 private:
  RawTerminal(int fd, const termios& before) : fd_(fd), before_(before) {}
  int fd_ = -1;
  termios before_{};
};

// "ctrl-p,ctrl-q" as bytes. Elements: a letter, or ctrl- and one of a-z @ [ \ ] ^ _.
// kInvalidArgument names the bad element.
Result<std::string> parse_detach_keys(std::string_view text);

// Finds the detach sequence in what is typed. A prefix of it is held back until the next byte
// decides.
class DetachKeys {
 public:
  explicit DetachKeys(std::string sequence) : sequence_(std::move(sequence)) {}

  struct Outcome {
    std::string data;  // to be passed on
    bool detach = false;
  };
  Outcome feed(std::string_view typed);

 private:
  std::string sequence_;
  size_t matched_ = 0;
};

}  // namespace wherry::cli
