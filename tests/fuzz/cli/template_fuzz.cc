// --format templates: any text is a template or refused, and renders or is refused.

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include <nlohmann/json.hpp>

#include "cli/template.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  static const wherry::cli::Json kData =
      wherry::cli::Json::parse(R"({"A":"text","B":[1,2,3],"C":{"D":{"E":null}},"F":true,"G":1.5})");
  auto parsed = wherry::cli::Template::parse(text);
  if (parsed) (void)parsed->render(kData);
  return 0;
}
