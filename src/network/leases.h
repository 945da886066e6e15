// Who holds which address and which host port: the content of <run root>/network/leases, as a value
// with its rules. Pure: run_dir.h reads and writes the file, under its lock. Format:
// docs/design/network.md.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "network/nft_rules.h"

namespace wherry::network {

// The kernel takes a veth pair away 14 to 40 ms after its namespace died; until then the address
// may still answer. A released address rests so long unless nothing else is free.
inline constexpr int64_t kQuarantineNs = 1'000'000'000;
// A bridge has 1023 ports (BR_MAX_PORTS is 1 << 10, number 0 is not used).
inline constexpr size_t kMaxAddressesPerBridge = 1023;
// Where host ports that nobody named are taken from: the kernel's own ephemeral range.
inline constexpr uint16_t kFirstFreePort = 32768;
inline constexpr uint16_t kLastFreePort = 60999;

struct AddressLease {
  std::string container_id;
  std::string network;  // name
  uint32_t address = 0;
  bool operator==(const AddressLease&) const = default;
};

struct PortHolder {
  std::string container_id;
  std::string protocol;  // "tcp", "udp"
  std::string host_ip;   // canonical text of an IPv4 or IPv6 address
  uint16_t host_port = 0;
  uint32_t container_address = 0;
  uint16_t container_port = 0;
  bool operator==(const PortHolder&) const = default;
};

struct RestingAddress {
  std::string network;
  uint32_t address = 0;
  int64_t released_ns = 0;  // CLOCK_MONOTONIC
  bool operator==(const RestingAddress&) const = default;
};

struct Leases {
  std::vector<AddressLease> addresses;
  std::vector<PortHolder> ports;
  std::vector<RestingAddress> resting;
  std::map<std::string, uint32_t> last_address;  // by network: allocation goes round
  uint16_t last_port = kLastFreePort;            // likewise

  bool operator==(const Leases&) const = default;
};

// Strict: anything that format_leases would not write is kCorrupt with the line's number.
Result<Leases> parse_leases(std::string_view text);
std::string format_leases(const Leases& leases);

// The next free address of the subnet after the last one given; not the network's own, the
// gateway's or the broadcast address. Records the lease.
Result<uint32_t> lease_address(Leases& leases, const std::string& container_id,
                               const std::string& network, uint32_t subnet, uint8_t prefix_length,
                               uint32_t gateway, int64_t now_ns);

// The holder of a port that overlaps: same protocol and port, and the same address or a wildcard of
// the same family on either side.
const PortHolder* find_conflict(const Leases& leases, std::string_view protocol,
                                std::string_view host_ip, uint16_t host_port);

// Drops everything of a container; true when there was something.
bool drop_container(Leases& leases, const std::string& container_id, int64_t now_ns);

// The holders that nftables translates: IPv4, and not on loopback.
std::vector<PortElement> port_elements(const std::vector<PortHolder>& ports);

}  // namespace wherry::network
