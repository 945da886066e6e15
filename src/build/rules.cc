#include "build/rules.h"

namespace wherry::build {

Result<PathRules> exclude_rules(const std::vector<std::string>& patterns) {
  if (!patterns.empty()) return Error(ErrorKind::kUnsupported, "--exclude is not supported yet");
  return PathRules{};
}

}  // namespace wherry::build
