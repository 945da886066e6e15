#include "cli/layer_board.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/clock.h"
#include "cli/output.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

using transfer::LayerProgress;
using Phase = LayerProgress::Phase;

constexpr size_t kBar = 50;
constexpr int64_t kRepaintNs = 100'000'000;

bool is_running(Phase phase) {
  return phase == Phase::kDownloading || phase == Phase::kPushing;
}

// A terminal that has gone is noticed by the command's last word, not in between.
void write_text(int fd, std::string_view text) {
  [[maybe_unused]] Result<void> written = sys::write_all(fd, text);
}

}  // namespace

std::string progress_bar(uint64_t bytes, uint64_t total) {
  if (total == 0) return human_size(bytes);
  size_t filled = std::min<uint64_t>(kBar, bytes * kBar / total);
  std::string bar(filled, '=');
  if (filled < kBar) {
    bar += '>';
    bar.append(kBar - filled - 1, ' ');
  }
  return fmt::format("[{}]  {}/{}", bar, human_size(bytes), human_size(total));
}

std::string LayerBoard::words(Direction direction, const LayerProgress& progress, bool terminal) {
  bool pull = direction == Direction::kPull;
  switch (progress.phase) {
    case Phase::kPreparing:
      return terminal ? "Preparing" : "";
    case Phase::kWaiting:
      if (pull) return "Pulling fs layer";
      return terminal ? "Waiting" : "";
    case Phase::kPacking:
      return terminal ? "Packing" : "";
    case Phase::kDownloading:
      return terminal ? "Downloading " + progress_bar(progress.bytes, progress.total) : "";
    case Phase::kPushing:
      return terminal ? "Pushing " + progress_bar(progress.bytes, progress.total) : "";
    case Phase::kPullComplete:
      return "Pull complete";
    case Phase::kExists:
      return pull ? "Already exists" : "Layer already exists";
    case Phase::kPushed:
      return "Pushed";
    case Phase::kMounted:
      return "Mounted from " + printable(progress.detail);
  }
  return "";
}

LayerBoard::LayerBoard(int fd, Direction direction, std::string heading)
    : fd_(fd), direction_(direction), heading_(std::move(heading)) {
  if (is_terminal(fd)) size_ = terminal_size();
}

void LayerBoard::show_heading() {
  if (heading_shown_) return;
  heading_shown_ = true;
  if (!heading_.empty()) write_text(fd_, heading_ + "\n");
}

void LayerBoard::show(const LayerProgress& progress) {
  show_heading();
  bool terminal = size_.rows > 0;
  std::string text = words(direction_, progress, terminal);
  if (text.empty()) return;
  if (!terminal) {
    write_text(fd_, fmt::format("{}: {}\n", progress.id, text));
    return;
  }
  auto known = std::ranges::find(lines_, progress.id, &Line::id);
  auto index = static_cast<size_t>(known - lines_.begin());
  int64_t now = monotonic_ns();
  if (known == lines_.end()) {
    // Lines that have left the screen cannot be painted over: from here on one below the other.
    if (lines_.size() + 2 >= size_.rows) size_ = {};
    lines_.push_back({progress.id, {}, progress.phase, 0});
    write_text(fd_, size_.rows > 0 ? "\n" : fmt::format("{}: {}\n", progress.id, text));
    if (size_.rows == 0) return;
  }
  Line& line = lines_[index];
  bool same_phase = line.phase == progress.phase && is_running(progress.phase);
  if (same_phase && now - line.painted_ns < kRepaintNs) return;
  line.phase = progress.phase;
  line.text = std::move(text);
  line.painted_ns = now;
  paint(index);
}

void LayerBoard::paint(size_t index) {
  const Line& line = lines_[index];
  size_t up = lines_.size() - index;
  std::string text = ellipsis(fmt::format("{}: {}", line.id, line.text),
                              size_.columns > 1 ? size_.columns - 1U : 79U);
  write_text(fd_, fmt::format("\x1b[{}A\r\x1b[2K{}\x1b[{}B\r", up, text, up));
}

}  // namespace wherry::cli
