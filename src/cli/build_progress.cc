#include "cli/build_progress.h"

#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <deque>

#include "base/clock.h"
#include "base/text.h"
#include "cli/output.h"
#include "cli/terminal.h"

namespace wherry::cli {
namespace {

using build::Progress;

constexpr size_t kKeptLines = 30;   // of a failed step
constexpr size_t kLiveLines = 6;    // of the running one
constexpr size_t kMaxLine = 16384;  // what has no newline by then gets one
constexpr int64_t kFrameNs = 80'000'000;

std::string seconds(int64_t ns) {
  return fmt::format("{:.1f}s", static_cast<double>(ns) / 1e9);
}

// What a terminal would show of a line that a program redrew with carriage returns.
std::string_view last_drawn(std::string_view line) {
  while (line.ends_with('\r')) line.remove_suffix(1);
  size_t at = line.rfind('\r');
  return at == std::string_view::npos ? line : line.substr(at + 1);
}

// What all forms keep: the part at work, its time, and its last lines.
class Lines : public Progress {
 public:
  void begin(int number, const std::string& title) override {
    number_ = number;
    title_ = printable(title);
    began_ns_ = monotonic_ns();
    kept_.clear();
    partial_.clear();
    begun();
  }

  void output(std::string_view data) override {
    while (!data.empty()) {
      size_t end = data.find('\n');
      partial_ += data.substr(0, end);
      if (end == std::string_view::npos && partial_.size() < kMaxLine) break;
      take_line();
      data.remove_prefix(end == std::string_view::npos ? data.size() : end + 1);
    }
  }

  void end(Outcome outcome, const std::string& error) override {
    if (!partial_.empty()) take_line();
    ended(outcome, error);
  }

  void warning(const std::string& text) override { report_warning(text); }

  void failed_at(const std::string& excerpt) override {
    std::string text;
    if (!kept_.empty()) {
      text += fmt::format("------\n > {}:\n", title_);
      for (const std::string& line : kept_) text += line + "\n";
      text += "------\n";
    }
    print_error_text(text + excerpt);
  }

  void tick() override {}

 protected:
  virtual void begun() = 0;
  virtual void line(const std::string& text) = 0;
  virtual void ended(Outcome outcome, const std::string& error) = 0;

  int64_t elapsed() const { return monotonic_ns() - began_ns_; }
  std::string status(Outcome outcome, const std::string& error) const {
    switch (outcome) {
      case Outcome::kRan:
        return "DONE " + seconds(elapsed());
      case Outcome::kCached:
        return "CACHED";
      case Outcome::kCanceled:
        return "CANCELED";
      case Outcome::kFailed:
        break;
    }
    return "ERROR: " + error;
  }

  int number_ = 0;
  std::string title_;
  std::deque<std::string> kept_;

 private:
  void take_line() {
    std::string text =
        fmt::format("{:.3f} {}", static_cast<double>(elapsed()) / 1e9, last_drawn(partial_));
    partial_.clear();
    kept_.push_back(text);
    if (kept_.size() > kKeptLines) kept_.pop_front();
    line(text);
  }

  int64_t began_ns_ = 0;
  std::string partial_;
};

class PlainProgress final : public Lines {
 public:
  void detail(const std::string& text) override {
    print_error_text(fmt::format("#{} {}\n", number_, text));
  }

 protected:
  void begun() override {
    print_error_text(fmt::format("{}#{} {}\n", number_ == 1 ? "" : "\n", number_, title_));
  }
  void line(const std::string& text) override {
    print_error_text(fmt::format("#{} {}\n", number_, text));
  }
  void ended(Outcome outcome, const std::string& error) override {
    print_error_text(fmt::format("#{} {}\n", number_, status(outcome, error)));
  }
};

class QuietProgress final : public Lines {
 public:
  void detail(const std::string&) override {}
  void warning(const std::string&) override {}

 protected:
  void begun() override {}
  void line(const std::string&) override {}
  void ended(Outcome, const std::string&) override {}
};

// Finished parts are ordinary lines that scroll away; below them the running part is drawn again
// and again.
class LiveProgress final : public Lines {
 public:
  ~LiveProgress() override { erase(); }

  void detail(const std::string& text) override { lasting(" => => " + text); }
  void warning(const std::string& text) override {
    erase();
    report_warning(text);
  }
  void tick() override {
    if (running_ && monotonic_ns() - drawn_ns_ >= kFrameNs) draw();
  }

 protected:
  void begun() override {
    running_ = true;
    draw();
  }
  void line(const std::string&) override { tick(); }
  void ended(Outcome outcome, const std::string& error) override {
    running_ = false;
    std::string prefix = outcome == Outcome::kCached     ? " => CACHED "
                         : outcome == Outcome::kFailed   ? " => ERROR "
                         : outcome == Outcome::kCanceled ? " => CANCELED "
                                                         : " => ";
    lasting(columns(prefix + title_, seconds(elapsed())));
    if (outcome == Outcome::kFailed && kept_.empty()) lasting(" => => " + error);
  }

 private:
  size_t width() const { return std::max<size_t>(terminal_size().columns, 20); }

  // Left part cut to what the right one leaves.
  std::string columns(const std::string& left, const std::string& right) const {
    size_t room = width() - 1 - right.size() - 1;
    std::string text = ellipsis(left, room);
    size_t used = static_cast<size_t>(std::ranges::count_if(
        text, [](char c) { return (static_cast<unsigned char>(c) & 0xC0) != 0x80; }));
    return text + std::string(room - std::min(room, used) + 1, ' ') + right;
  }

  void lasting(const std::string& text) {
    erase();
    print_error_text(text + "\n");
    if (running_) draw();
  }

  void erase() {
    if (drawn_lines_ > 0) print_error_text(fmt::format("\x1b[{}A\x1b[J", drawn_lines_));
    drawn_lines_ = 0;
  }

  void draw() {
    std::string text;
    if (drawn_lines_ > 0) text = fmt::format("\x1b[{}A\x1b[J", drawn_lines_);
    text += columns(" => " + title_, seconds(elapsed())) + "\n";
    size_t shown = std::min(kept_.size(), kLiveLines);
    for (size_t i = kept_.size() - shown; i < kept_.size(); ++i)
      text += ellipsis(" => => # " + printable(kept_[i]), width() - 1) + "\n";
    drawn_lines_ = 1 + shown;
    drawn_ns_ = monotonic_ns();
    print_error_text(text);
  }

  bool running_ = false;
  size_t drawn_lines_ = 0;
  int64_t drawn_ns_ = 0;
};

}  // namespace

Result<std::unique_ptr<Progress>> make_build_progress(std::string_view mode) {
  bool terminal = is_terminal(STDERR_FILENO);
  if (mode == "quiet") return std::unique_ptr<Progress>(std::make_unique<QuietProgress>());
  if (mode == "plain" || (!terminal && (mode == "auto" || mode == "tty")))
    return std::unique_ptr<Progress>(std::make_unique<PlainProgress>());
  if (mode == "auto" || mode == "tty")
    return std::unique_ptr<Progress>(std::make_unique<LiveProgress>());
  return Error(ErrorKind::kInvalidArgument, fmt::format("invalid progress mode '{}'", mode))
      .set_hint("use auto, plain or tty");
}

}  // namespace wherry::cli
