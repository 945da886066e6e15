// Reports: whatever is understood is written to a fixed point.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "wire/messages.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto report = wherry::wire::decode_report(text);
  if (!report) return 0;
  std::string written = encode(*report);
  if (written.size() > wherry::wire::kMaxPacket) return 0;
  auto again = wherry::wire::decode_report(written);
  if (!again || encode(*again) != written) abort();
  return 0;
}
