// Published ports between the API's shape (PortMap) and the network planner's (requests and
// leases). Pure.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "engine/record.h"
#include "monitor/config.h"
#include "network/network.h"

namespace wherry::engine {

// "80/tcp" or "80": port and protocol. Protocols: tcp, udp.
Result<std::pair<uint16_t, std::string>> parse_port(std::string_view text);

// `default_address` stands for an empty host address; "0.0.0.0" then means both families.
Result<std::vector<network::PortRequest>> port_requests(const PortMap& bindings,
                                                        const std::string& default_address);
// As bound, for inspect and ps; exposed ports without a binding have an empty list.
PortMap bound_ports(const std::vector<network::PortLease>& leases,
                    const std::vector<std::string>& exposed);
std::vector<monitor::PublishedPort> published_ports(const network::Attachment& attachment);

}  // namespace wherry::engine
