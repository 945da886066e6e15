// IPv4 addresses and subnets as numbers in host byte order: text, and the choice of a subnet that
// the host does not use. Pure functions.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/rtnetlink.h"

namespace wherry::network {

struct Subnet {
  uint32_t address = 0;
  uint8_t prefix_length = 0;
  bool operator==(const Subnet&) const = default;
};

std::string format_address(uint32_t address);
std::string format_subnet(uint32_t address, uint8_t prefix_length);
std::optional<uint32_t> parse_address(std::string_view text);
// "a.b.c.d/n" with no bits behind the prefix.
std::optional<Subnet> parse_subnet(std::string_view text);

// True when some route covers or lies in the subnet. Default routes and halves of the world (VPNs
// route 0.0.0.0/1 and 128.0.0.0/1) do not count.
bool overlaps(const Subnet& subnet, const std::vector<sys::Route>& routes);

// The first free of 172.17.0.0/16 to 172.31.0.0/16, then 192.168.0.0/20 to 192.168.240.0/20.
std::optional<Subnet> choose_subnet(const std::vector<sys::Route>& routes);

}  // namespace wherry::network
