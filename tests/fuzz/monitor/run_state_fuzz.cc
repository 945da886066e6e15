// The state file of a monitor, which later commands read.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "monitor/protocol.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto parsed = wherry::monitor::parse_run_state(text);
  if (parsed) (void)wherry::monitor::to_json(*parsed);
  return 0;
}
