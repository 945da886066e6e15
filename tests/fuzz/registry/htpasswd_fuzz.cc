// The Authorization header and the file of users: parsed or refused.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string_view>

#include "registry/htpasswd.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::registry;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  if (auto credential = parse_basic(text))
    if (credential->user.empty() || credential->user.contains(':')) abort();
  if (auto users = parse_htpasswd(text))
    for (const auto& [name, hash] : *users)
      if (name.empty() || hash.size() != 60) abort();
  return 0;
}
