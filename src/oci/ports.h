// Port texts of image configurations: "80", "80/tcp", "8000-8010/udp".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::oci {

// Every port of `text` as "port/protocol"; tcp when none is given. Ports 1 to 65535, protocols tcp,
// udp, sctp; anything else is kInvalidArgument.
Result<std::vector<std::string>> expand_ports(std::string_view text);

}  // namespace wherry::oci
