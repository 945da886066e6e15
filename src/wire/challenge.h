// WWW-Authenticate: which proofs of identity a server asks for. RFC 9110, section 11.6.1.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <vector>

namespace wherry::wire {

struct Challenge {
  std::string scheme;                             // in lower case: "bearer", "basic"
  std::map<std::string, std::string> parameters;  // names in lower case

  std::string parameter(const std::string& name) const;
};

// All challenges of one header's value, in order; what cannot be read ends the list. At most 16
// challenges of 16 parameters, from at most 8 KiB.
std::vector<Challenge> parse_challenges(std::string_view value);

}  // namespace wherry::wire
