// Indexes: whatever parses is written to a fixed point, is no manifest, and can be chosen from.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::oci::parse_index(text);
  auto kind = wherry::oci::document_kind(text, "");
  if (!parsed) return 0;
  if (!kind || *kind != wherry::oci::DocumentKind::kIndex) abort();
  if (wherry::oci::parse_manifest(text)) abort();
  (void)wherry::oci::choose_platform(*parsed, "linux/arm/v7");
  std::string written = to_json(*parsed);
  auto again = wherry::oci::parse_index(written);
  if (!again || to_json(*again) != written) abort();
  return 0;
}
