#include "ocicli/signals.h"

#include <signal.h>
#include <string.h>

#include <string>

#include "base/text.h"

namespace wherry::ocicli {
namespace {

// "RTMIN", "RTMIN+3", "RTMAX-1".
std::optional<int> realtime(const std::string& name) {
  bool from_min = name.starts_with("rtmin");
  if (!from_min && !name.starts_with("rtmax")) return std::nullopt;
  int base = from_min ? SIGRTMIN : SIGRTMAX;
  std::string_view rest = std::string_view(name).substr(5);
  if (rest.empty()) return base;
  if (rest[0] != (from_min ? '+' : '-')) return std::nullopt;
  std::optional<uint64_t> offset = parse_u64(rest.substr(1));
  if (!offset || *offset > static_cast<uint64_t>(SIGRTMAX - SIGRTMIN)) return std::nullopt;
  return from_min ? base + static_cast<int>(*offset) : base - static_cast<int>(*offset);
}

}  // namespace

std::optional<int> parse_signal(std::string_view word) {
  if (std::optional<uint64_t> number = parse_u64(word)) {
    if (*number >= NSIG) return std::nullopt;
    return static_cast<int>(*number);
  }
  std::string name = to_lower(word);
  if (name.starts_with("sig")) name.erase(0, 3);
  if (name == "iot") return SIGABRT;
  if (name == "cld") return SIGCHLD;
  if (std::optional<int> number = realtime(name)) return number;
  for (int number = 1; number < NSIG; ++number) {
    const char* known = sigabbrev_np(number);
    if (known != nullptr && to_lower(known) == name) return number;
  }
  return std::nullopt;
}

}  // namespace wherry::ocicli
