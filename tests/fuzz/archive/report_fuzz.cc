// The report of the confined unpacker, which may have been taken over by what it unpacks.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "archive/outline.h"
#include "archive/pack.h"
#include "archive/unpack.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  (void)wherry::archive::parse_unpack_report(std::string(text));
  (void)wherry::archive::parse_pack_report(std::string(text));
  (void)wherry::archive::parse_outline_report(std::string(text));
  return 0;
}
