#include "oci/ports.h"

#include "base/text.h"

namespace wherry::oci {

Result<std::vector<std::string>> expand_ports(std::string_view text) {
  Error invalid(ErrorKind::kInvalidArgument,
                "invalid port '" + std::string(text.substr(0, 100)) + "'");
  auto [range, suffix] = split_once(text, '/');
  std::string protocol = suffix ? to_lower(*suffix) : "tcp";
  if (protocol != "tcp" && protocol != "udp" && protocol != "sctp") return invalid;
  auto [first_text, last_text] = split_once(range, '-');
  auto first = parse_u64(first_text);
  auto last = last_text ? parse_u64(*last_text) : first;
  if (!first || !last || *first < 1 || *last > 65535 || *first > *last) return invalid;
  std::vector<std::string> ports;
  for (uint64_t port = *first; port <= *last; ++port)
    ports.push_back(std::to_string(port) + "/" + protocol);
  return ports;
}

}  // namespace wherry::oci
