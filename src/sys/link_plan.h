// A container's network link as plain data: what the planner (network/) decides and what the start
// path (runtime/, in one netlink message and one batch) applies. No behaviour here.
#pragma once

#include <array>
#include <cstdint>
#include <string>

namespace wherry::sys {

struct LinkPlan {
  std::string bridge;          // host bridge, e.g. "wherry0"
  std::string host_interface;  // our end: fresh for each start, at most 15 bytes
  std::string container_interface = "eth0";
  std::array<uint8_t, 6> mac{};
  uint32_t address = 0;  // IPv4, host byte order
  uint8_t prefix_length = 16;
  uint32_t gateway = 0;  // IPv4, host byte order
  uint32_t mtu = 0;      // 0: the kernel's default
};

}  // namespace wherry::sys
