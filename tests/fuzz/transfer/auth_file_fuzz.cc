// A user's config.json: whatever is in it, lookups and changes end, and what is written is read.
#include <cstdint>
#include <cstdlib>

#include "transfer/auth_file.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  using namespace wherry::transfer;
  std::string_view text(reinterpret_cast<const char*>(data), size);
  auto file = AuthFile::parse(text, "config.json");
  if (!file) return 0;
  for (const char* domain : {"docker.io", "localhost:5000", "registry.example"}) {
    static_cast<void>(file->helper_for(domain));
    static_cast<void>(file->find(domain).has_value());
  }
  file->put("registry.example", {"user", "pass:word", {}});
  auto again = AuthFile::parse(file->text(), "config.json");
  if (!again) abort();
  auto kept = again->find("registry.example");
  if (!kept || !kept->has_value() || (*kept)->password != "pass:word") abort();
  if (!again->erase("registry.example") || again->erase("registry.example")) abort();
  return 0;
}
