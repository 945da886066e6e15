// import --change: any instruction is applied or refused.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "oci/image.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  wherry::oci::ImageRunConfig config;
  (void)wherry::oci::apply_change(config, text);
  return 0;
}
