// Image configurations: whatever parses is written to a fixed point.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::oci::parse_image_config(text);
  if (!parsed) return 0;
  std::string written = to_json(*parsed);
  auto again = wherry::oci::parse_image_config(written);
  if (!again || to_json(*again) != written) abort();
  return 0;
}
