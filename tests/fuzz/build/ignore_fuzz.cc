// .dockerignore: a first line as the path, the rest as rules. What is let in below an excluded
// directory must be reachable for a walk that trusts may_contain_included().

#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <string>
#include <string_view>

#include "build/ignore.h"

extern "C" int LLVMFuzzerTestOneInput(const uint8_t* data, size_t size) {
  std::string_view text(reinterpret_cast<const char*>(data), size);
  size_t end = text.find('\n');
  if (end == text.npos || end > 4096) return 0;
  std::string path(text.substr(0, end));
  auto ignore = wherry::build::Ignore::parse(text.substr(end + 1));
  if (!ignore) return 0;
  if (path.empty() || path.front() == '/' || path.find("//") != path.npos) return 0;
  if (ignore->matches(path)) return 0;
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    std::string parent = path.substr(0, slash);
    if (ignore->matches(parent) && !ignore->may_contain_included(parent)) abort();
  }
  return 0;
}
