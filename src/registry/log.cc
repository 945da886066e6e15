#include "registry/log.h"

#include <unistd.h>

#include <array>
#include <atomic>
#include <string>

#include "base/clock.h"
#include "sys/fd.h"

namespace wherry::registry {
namespace {

constexpr std::array<std::string_view, 4> kWords = {"error", "warning", "info", "debug"};
std::atomic<Level> most_level = Level::kInfo;

}  // namespace

std::optional<Level> parse_level(std::string_view word) {
  for (size_t i = 0; i < kWords.size(); ++i)
    if (kWords[i] == word) return static_cast<Level>(i);
  return std::nullopt;
}

void set_log_level(Level most) {
  most_level = most;
}

bool log_enabled(Level level) {
  return level <= most_level.load(std::memory_order_relaxed);
}

void log(Level level, std::string_view text) {
  if (!log_enabled(level)) return;
  constexpr char kDigits[] = "0123456789abcdef";
  std::string line = format_rfc3339_fixed(wall_clock_ns());
  line += ' ';
  line += kWords[static_cast<size_t>(level)];
  line += ' ';
  for (char c : text) {
    auto byte = static_cast<unsigned char>(c);
    if (byte >= 0x20 && byte < 0x7f) {
      line += c;
    } else {
      line += "\\x";
      line += kDigits[byte >> 4];
      line += kDigits[byte & 15];
    }
  }
  line += '\n';
  (void)sys::write_all(STDERR_FILENO, line);
}

}  // namespace wherry::registry
