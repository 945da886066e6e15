// Documents of image archives: manifest.json to a fixed point, names and versions of layouts.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/image_archive.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  [[maybe_unused]] bool layout = wherry::oci::check_layout(text).has_value();
  if (auto index = wherry::oci::parse_index(text))
    for (const auto& descriptor : index->manifests)
      if (auto name = wherry::oci::layout_name(descriptor); name && name->digest()) abort();
  auto parsed = wherry::oci::parse_archive_manifest(text);
  if (!parsed) return 0;
  std::string written = to_json(*parsed);
  auto again = wherry::oci::parse_archive_manifest(written);
  if (!again || to_json(*again) != written) abort();
  return 0;
}
