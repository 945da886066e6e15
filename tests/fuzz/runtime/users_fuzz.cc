// User words against hostile passwd and group files: words, passwd and group are split at NUL.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "runtime/users.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t first = text.find('\0');
  if (first == text.npos) return 0;
  size_t second = text.find('\0', first + 1);
  if (second == text.npos) second = size;
  std::string_view group = second < size ? text.substr(second + 1) : std::string_view{};
  (void)wherry::runtime::resolve_user(text.substr(0, first),
                                      text.substr(first + 1, second - first - 1), group);
  return 0;
}
