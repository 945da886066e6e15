// The rules of the house as nftables transactions: one table a root, installed once; a published
// port is one element of a map. Pure functions; docs/design/network.md shows the table as `nft
// list` prints it.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "network/nft_batch.h"

namespace wherry::network {

// Raised when the rules below change: an older table is then replaced.
inline constexpr int kRulesGeneration = 1;

inline constexpr const char* kChains[] = {"direct", "published", "prerouting", "output",
                                          "postrouting"};

struct TablePlan {
  std::string table;  // "wherry" or "wherry-<tag>"
  std::string bridge;
  uint32_t subnet = 0;  // host byte order
  uint8_t prefix_length = 0;
};

// One published port in the kernel's eyes.
struct PortElement {
  bool udp = false;
  uint32_t host_address = 0;  // 0: any address of this host
  uint16_t host_port = 0;
  uint32_t container_address = 0;
  uint16_t container_port = 0;
};

// The name of the map an element belongs to, and its key there.
const std::string& map_name(const PortElement& element);
NftElement to_nft(const PortElement& element);

// The whole table with the elements of `ports`. `replace`: an existing one goes in the same
// transaction.
std::string install_batch(const TablePlan& plan, bool replace, const std::string& comment,
                          const std::vector<PortElement>& ports);
std::string remove_batch(const std::string& table);
// Empty when there is nothing to do.
std::string add_ports_batch(const std::string& table, const std::vector<PortElement>& ports);
std::string delete_ports_batch(const std::string& table, const std::vector<PortElement>& ports);

// Docker's hook for others in its FORWARD chain, whose policy is drop.
inline constexpr const char* kDockerTable = "filter";
inline constexpr const char* kDockerChain = "DOCKER-USER";
inline constexpr size_t kDockerRules = 2;
// The comment our rules there carry, and the part of it that names the bridge.
std::string docker_comment(const TablePlan& plan);
std::string docker_comment_prefix(const std::string& bridge);
// Accepts what comes from our subnet through the bridge, and answers and published connections
// towards it. Goes before the chain's closing RETURN, so that a person's own drops still come
// first; `stale` are handles of old rules of ours.
std::string docker_batch(const TablePlan& plan, bool add, const std::vector<uint64_t>& stale,
                         std::optional<uint64_t> closing_return);

}  // namespace wherry::network
