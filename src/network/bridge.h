// The make-once half of a bridge network: link, sysctls, nftables table, Docker's hook. Each step
// looks first and is repeatable, so that a run killed between two of them is finished by the next.
// All calls act on the calling thread's network namespace, under the root's network lock.
#pragma once

#include "network/nft_rules.h"
#include "network/run_dir.h"

namespace wherry::network {

struct BridgePlan {
  TablePlan table;
  uint32_t gateway = 0;
};

// True when what is there now (link, rules, forwarding, namespace) equals the note that make_bridge
// left. Needs no lock.
Result<bool> bridge_is_ready(const RunDir& run_dir, const BridgePlan& plan);

Result<void> make_bridge(const RunDir& run_dir, const BridgePlan& plan);
Result<void> unmake_bridge(const RunDir& run_dir, const BridgePlan& plan);

}  // namespace wherry::network
