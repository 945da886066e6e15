// Packets between clients and monitors: whatever decodes is encoded to a fixed point.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "monitor/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto decoded = wherry::monitor::decode(text);
  if (!decoded) return 0;
  std::string packet = wherry::monitor::encode(*decoded);
  auto again = wherry::monitor::decode(packet);
  if (!again || wherry::monitor::encode(*again) != packet) abort();
  return 0;
}
