// What wherry-transfer gets of our environment: the proxies and what tests have armed.
#pragma once

#include <string>
#include <vector>

namespace wherry::transfer {

std::vector<std::string> helper_environment();

}  // namespace wherry::transfer
