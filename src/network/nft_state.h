// What of ours is in the kernel's nftables now. Asks only; a missing object is no error.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "network/nft_rules.h"

namespace wherry::network {

// One word that changes when the table is replaced or rules of its chains come or go; "" when the
// table or one of its chains is missing. Elements of maps do not count.
Result<std::string> table_fingerprint(const std::string& table);

struct TableInfo {
  std::string name;
  std::string comment;
};
// The tables of wherry's roots in this network namespace.
Result<std::vector<TableInfo>> list_wherry_tables();

// Those of `ports` that are in the maps.
Result<std::vector<PortElement>> present_ports(const std::string& table,
                                               const std::vector<PortElement>& ports);

struct DockerChain {
  bool exists = false;
  std::vector<uint64_t> current;  // rules of this bridge with the right comment
  std::vector<uint64_t> stale;    // rules of this bridge with another one
  std::optional<uint64_t> closing_return;
};
Result<DockerChain> read_docker_chain(const TablePlan& plan);

}  // namespace wherry::network
