// LayerBoard: the layers of a pull or push as they go by. On a terminal one line each, painted over
// with bars; elsewhere a line when something has happened to a layer, and nothing twice.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "cli/terminal.h"
#include "transfer/image_transfer.h"

namespace wherry::cli {

class LayerBoard {
 public:
  enum class Direction { kPull, kPush };
  // `heading`: said before the first layer, or by heading() at last; a line without its end, empty:
  // none.
  LayerBoard(int fd, Direction direction, std::string heading);

  void show(const transfer::LayerProgress& progress);
  // Says the heading if nothing has been said yet. Further text goes below all layers.
  void show_heading();

  // The words for what is shown, without the id; empty: nothing to say there.
  static std::string words(Direction direction, const transfer::LayerProgress& progress,
                           bool terminal);

 private:
  void paint(size_t line);

  int fd_;
  Direction direction_;
  std::string heading_;
  bool heading_shown_ = false;
  // Of a terminal; zero: there is none, or it is too small for what is to be painted.
  TerminalSize size_;
  struct Line {
    std::string id, text;
    transfer::LayerProgress::Phase phase = transfer::LayerProgress::Phase::kWaiting;
    int64_t painted_ns = 0;
  };
  std::vector<Line> lines_;
};

// "[=====>    ]  1.2MB/3.4MB"
std::string progress_bar(uint64_t bytes, uint64_t total);

}  // namespace wherry::cli
