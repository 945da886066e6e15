// Targets of requests: what is accepted names nothing outside of the store's grammar.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "registry/route.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::registry;
  auto parsed = parse_route(std::string_view(reinterpret_cast<const char*>(data), size));
  auto* route = std::get_if<Route>(&parsed);
  if (route == nullptr || route->name.empty()) return 0;
  // Written without the grammar's code: no step upwards, no hidden name, no other character.
  for (const char* bad : {"..", "//", "/.", "/_", "\\"})
    if (("/" + route->name + "/").contains(bad)) abort();
  constexpr std::string_view kAllowed = "abcdefghijklmnopqrstuvwxyz0123456789._-/";
  if (route->name.find_first_not_of(kAllowed) != std::string::npos) abort();
  if (route->kind == Route::Kind::kUpload && route->upload.size() != 32) abort();
  if (auto* tag = std::get_if<std::string>(&route->reference))
    if (tag->contains('/') || tag->starts_with('.')) abort();
  return 0;
}
