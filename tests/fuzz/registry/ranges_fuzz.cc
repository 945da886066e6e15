// Range and Content-Range: what is accepted lies within the blob and does not overflow.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/ranges.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::registry;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  for (uint64_t total : {uint64_t{0}, uint64_t{1}, uint64_t{1000}, ~uint64_t{0}}) {
    auto answer = parse_range(text, total);
    if (auto* range = std::get_if<ByteRange>(&answer))
      if (range->first > range->last || range->last >= total || range->length() > total) abort();
  }
  if (auto range = parse_content_range(text))
    if (range->length() == 0 || range->first > range->last) abort();
  return 0;
}
