// Moving a network device of this namespace into another one, as it is: renamed, with its permanent
// global addresses, up. Source: rtnetlink(7), OCI runtime-spec 1.3 config-linux.md "Network
// Devices".
#pragma once

#include <string>

#include "base/result.h"

namespace wherry::sys {

// `new_name`: what it is called there. kNotFound when there is no such device here. The caller must
// have one thread: it visits the other namespace for a moment.
Result<void> move_link(const std::string& name, const std::string& new_name, int netns_fd);

}  // namespace wherry::sys
