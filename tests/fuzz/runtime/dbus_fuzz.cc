// Messages of the bus: every prefix and every change is refused, waited for, or read within bounds.

#include <cstddef>
#include <cstdint>
#include <string>

#include "runtime/dbus.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string bytes(reinterpret_cast<const char*>(data), size);
  for (;;) {
    const size_t before = bytes.size();
    auto message = wherry::runtime::take_message(bytes);
    if (!message || !*message) return 0;
    if (bytes.size() >= before) __builtin_trap();
  }
}
