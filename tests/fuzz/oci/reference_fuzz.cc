// Image references: whatever parses prints to something that parses to the same.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/reference.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::oci::ImageRef::parse(text);
  if (!parsed) return 0;
  auto again = wherry::oci::ImageRef::parse(parsed->familiar());
  if (!again || again->familiar() != parsed->familiar()) abort();
  return 0;
}
