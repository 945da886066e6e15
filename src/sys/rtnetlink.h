// rtnetlink as typed calls: links, addresses, routes. One message or one batch per call, because
// every extra round trip and above all every move of a link between namespaces costs milliseconds
// (docs/design/start.md). All calls act on the calling thread's network namespace.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "sys/link_plan.h"

namespace wherry::sys {

// Makes the pair in one RTM_NEWLINK: our end up and in the bridge, one queue each, the peer born
// inside the namespace `netns_fd` with its name and MAC. IPv6 is off on our end.
Result<void> create_veth(const LinkPlan& plan, int netns_fd);

// Inside the container's namespace: loopback up; with a plan also address, link up and default
// route, as one batch. IPv6 autoconfiguration is off on the link.
Result<void> configure_links(const LinkPlan* plan);

// On the host, after configure_links: the bridge forwards to and from the link when this returns.
// Without it the kernel enables the port and an idle bridge in the background, and the container's
// first packet may be lost, which costs its sender the second after which ARP and TCP try again.
Result<void> settle_link(const LinkPlan& plan);

// Makes a bridge with an address, up. An existing one with the same address is fine; another
// address is kConflict.
Result<void> ensure_bridge_link(const std::string& name, uint32_t address, uint8_t prefix_length);
Result<void> delete_link(const std::string& name);  // a missing one is fine
std::optional<int> link_index(const std::string& name);

struct Route {
  uint32_t destination = 0;  // IPv4, host byte order
  uint8_t prefix_length = 0;
};
// IPv4 routes of the main and local tables.
Result<std::vector<Route>> list_routes();

}  // namespace wherry::sys
