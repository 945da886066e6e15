#include "cli/terminal.h"

#include <fmt/format.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cctype>
#include <cerrno>

#include "base/text.h"

namespace wherry::cli {

bool is_terminal(int fd) {
  termios settings{};
  return tcgetattr(fd, &settings) == 0;
}

TerminalSize terminal_size() {
  for (int fd : {STDOUT_FILENO, STDIN_FILENO}) {
    winsize size{};
    if (ioctl(fd, TIOCGWINSZ, &size) == 0) return {size.ws_row, size.ws_col};
  }
  return {};
}

Result<RawTerminal> RawTerminal::enter(int fd) {
  termios before{};
  if (tcgetattr(fd, &before) != 0)
    return Error::from_errno(errno, "cannot read the terminal's mode");
  termios raw = before;
  cfmakeraw(&raw);
  if (tcsetattr(fd, TCSADRAIN, &raw) != 0)
    return Error::from_errno(errno, "cannot set the terminal's mode");
  return RawTerminal(fd, before);
}

RawTerminal::RawTerminal(RawTerminal&& other) noexcept
    : fd_(std::exchange(other.fd_, -1)), before_(other.before_) {}

RawTerminal::~RawTerminal() {
  if (fd_ >= 0) tcsetattr(fd_, TCSADRAIN, &before_);
}

Result<std::string> parse_detach_keys(std::string_view text) {
  std::string keys;
  for (std::string_view element : split(text, ',')) {
    auto bad = [&] {
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid detach keys '{}': unknown character '{}'", text, element))
          .set_hint("use single characters or ctrl-X, separated by commas: ctrl-p,ctrl-q");
    };
    if (element.size() == 1) {
      keys += element;
      continue;
    }
    if (!element.starts_with("ctrl-") || element.size() != 6) return bad();
    char c = element[5];
    if (c >= 'a' && c <= 'z')
      keys += static_cast<char>(c - 'a' + 1);
    else if (c == '@' || (c >= '[' && c <= '_'))
      keys += static_cast<char>(c - '@');
    else
      return bad();
  }
  return keys;
}

DetachKeys::Outcome DetachKeys::feed(std::string_view typed) {
  Outcome outcome;
  for (char c : typed) {
    if (sequence_.empty()) {
      outcome.data += c;
      continue;
    }
    // What was held back and does not go on to match is the user's input after all; the byte may
    // itself begin the sequence.
    if (matched_ > 0 && c != sequence_[matched_]) {
      outcome.data += sequence_.substr(0, matched_);
      matched_ = 0;
    }
    if (c != sequence_[matched_]) {
      outcome.data += c;
      continue;
    }
    if (++matched_ == sequence_.size()) {
      matched_ = 0;
      outcome.detach = true;
      return outcome;
    }
  }
  return outcome;
}

}  // namespace wherry::cli
