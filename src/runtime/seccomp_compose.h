// Composes the default profile for another set of capabilities through libseccomp (3 to 10 ms:
// callers cache by digest). Not linked into wherry-monitor.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::runtime {

// `capabilities`: the bounding set, names like "CAP_SYS_ADMIN". Returns the bytes of sock_filter[].
Result<std::string> compose_default_filter(const std::vector<std::string>& capabilities);

}  // namespace wherry::runtime
