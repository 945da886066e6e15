// Connection tracking keeps sending a UDP flow to a container that is gone, for as long as the peer
// keeps talking: its translation was decided by the first packet. Such flows are deleted when a
// port is given back. TCP needs nothing, its peers start anew.
#pragma once

#include <vector>

#include "base/result.h"
#include "network/nft_rules.h"

namespace wherry::network {

// Deletes the tracked UDP flows that were translated to one of these ports' containers.
Result<void> forget_udp_flows(const std::vector<PortElement>& ports);

}  // namespace wherry::network
