#include "base/weaken.h"

#ifdef WHERRY_WEAKENED_BUILD

#include <unistd.h>

#include <cstdint>
#include <cstdio>
#include <cstdlib>
#include <string_view>

#include "base/text.h"

namespace wherry {
namespace {

constexpr std::string_view kNames[] = {
#define X(constant, name) name,
    WHERRY_DEFENCES(X)
#undef X
};

// cmake -DWHERRY_WEAKEN=NAMES: left out for good; "any": what WHERRY_WEAKEN in the environment
// says.
std::string_view wanted() {
  constexpr std::string_view kBuilt = WHERRY_WEAKENED_BUILD;
  if (kBuilt != "any") return kBuilt;
  const char* names = getenv("WHERRY_WEAKEN");
  return names == nullptr ? std::string_view() : names;
}

uint64_t read_wanted() {
  uint64_t bits = 0;
  for (std::string_view word : split(wanted(), ',')) {
    if (word.empty()) continue;
    size_t i = 0;
    while (i < std::size(kNames) && kNames[i] != word) ++i;
    if (i == std::size(kNames)) {
      // A test with a misspelt name must not look like a defence that holds.
      dprintf(STDERR_FILENO, "unknown defence '%.*s' in WHERRY_WEAKEN\n",
              static_cast<int>(word.size()), word.data());
      _exit(70);
    }
    bits |= uint64_t{1} << i;
  }
  return bits;
}

uint64_t left_out() {
  static const uint64_t bits = read_wanted();
  return bits;
}

}  // namespace

bool weakened(Defence defence) {
  return (left_out() >> static_cast<unsigned>(defence) & 1) != 0;
}

std::string weakened_text() {
  std::string text;
  for (size_t i = 0; i < std::size(kNames); ++i)
    if ((left_out() >> i & 1) != 0) text.append(text.empty() ? "" : ", ").append(kNames[i]);
  return "weakened: " + (text.empty() ? "nothing yet (WHERRY_WEAKEN=NAME)" : text) + "\n";
}

}  // namespace wherry

#endif
