// .dockerignore's and --exclude's rules (build/ignore.h) as the questions that a walk asks.
#pragma once

#include <string>
#include <vector>

#include "build/ignore.h"
#include "build/source_tree.h"

namespace wherry::build {

PathRules rules_of(Ignore ignore);
// Of --exclude's patterns; none exclude nothing.
Result<PathRules> exclude_rules(const std::vector<std::string>& patterns);

}  // namespace wherry::build
