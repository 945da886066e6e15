// The lease file: whatever parses is written so that it reads the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "network/leases.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::network::parse_leases(text);
  if (!parsed) return 0;
  auto again = wherry::network::parse_leases(wherry::network::format_leases(*parsed));
  if (!again || *again != *parsed) abort();
  return 0;
}
