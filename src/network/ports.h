// From the ports a user asked for to the host ports a container holds.
#pragma once

#include <string>
#include <vector>

#include "network/leases.h"
#include "network/network.h"

namespace wherry::network {

// Records holders for all requests, or changes nothing and says why: kInvalidArgument for a bad
// request, kConflict naming the owner of a taken port, kResourceExhausted when no free port is
// left. Host port 0 is replaced by one that nobody holds and that can be bound now in the calling
// thread's network namespace.
Result<void> lease_ports(Leases& leases, const std::string& container_id,
                         uint32_t container_address, const std::vector<PortRequest>& requests);

// True when the port could be bound and listened on a moment ago.
bool can_bind(std::string_view protocol, const std::string& host_ip, uint16_t port);

}  // namespace wherry::network
