// A source's wildcard against a name, split at NUL: it ends, and agrees with itself.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "build/chmod.h"
#include "build/wildcard.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::build;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t middle = text.find('\0');
  if (middle == text.npos || size > 4096) return 0;
  std::string_view pattern = text.substr(0, middle), name = text.substr(middle + 1);
  bool matches = matches_wildcard(pattern, name);
  if (matches && !check_wildcard(pattern)) abort();
  // A pattern without wildcards is a name with escapes.
  if (check_wildcard(pattern) && !has_wildcard(pattern) && matches != (unescape(pattern) == name))
    abort();
  (void)ModeChange::parse(std::string(pattern));
  return 0;
}
