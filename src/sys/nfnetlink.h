// Sends prepared nftables batches. Building them is the planner's work (network/nft_batch.h); a
// failed transaction costs 8 to 16 ms in the kernel, so nobody probes by failing: nft_get asks.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::sys {

// Sends one batch (NFNL_MSG_BATCH_BEGIN ... END, each message with NLM_F_ACK as the builder chose)
// in the calling thread's network namespace and returns the first error the kernel reports.
Result<void> send_nft_batch(std::string_view batch);

// Sends NFT_MSG_GET* requests (one dump, or any number of single gets) and returns the attributes
// of each object found. Missing objects are left out.
Result<std::vector<std::string>> nft_get(std::string_view requests);

}  // namespace wherry::sys
