#include "build/rules.h"

#include <memory>

namespace wherry::build {

PathRules rules_of(Ignore ignore) {
  if (ignore.empty()) return {};
  auto shared = std::make_shared<const Ignore>(std::move(ignore));
  return {
      [shared](const std::string& path) { return shared->matches(path); },
      [shared](const std::string& directory) { return shared->may_contain_included(directory); }};
}

Result<PathRules> exclude_rules(const std::vector<std::string>& patterns) {
  if (patterns.empty()) return PathRules{};
  TRY_CTX(Ignore ignore, Ignore::from_rules(patterns), "--exclude");
  return rules_of(std::move(ignore));
}

}  // namespace wherry::build
