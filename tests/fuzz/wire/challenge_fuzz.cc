// WWW-Authenticate: any header gives bounded lists without control characters.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "wire/challenge.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto challenges = wherry::wire::parse_challenges(text);
  if (challenges.size() > 16) abort();
  for (const auto& challenge : challenges)
    for (const auto& [name, value] : challenge.parameters)
      for (unsigned char c : value)
        if (c < 0x20 || c == 0x7f) abort();
  return 0;
}
