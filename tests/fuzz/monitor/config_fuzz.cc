// The document a monitor is spawned with.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "monitor/config.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::monitor::parse_monitor_config(text);
  if (parsed) (void)wherry::monitor::to_bytes(*parsed);
  return 0;
}
