// Pushed manifests: whatever is accepted has one kind and gives a descriptor that can be read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/manifest.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::registry;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto facts = read_manifest(text, "");
  if (!facts) return 0;
  if (facts->is_index ? !facts->blobs.empty() : !facts->manifests.empty()) abort();
  std::string descriptor =
      referrer_descriptor(*facts, digest_of(Algorithm::kSha256, text), text.size());
  if (artifact_type_of(descriptor) != facts->artifact_type) abort();
  return 0;
}
