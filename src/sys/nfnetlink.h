// Sends prepared nftables batches. Building them is the planner's work (network/nft_batch.h); a failed
// transaction costs 8 to 16 ms in the kernel, so nobody probes by failing.
#pragma once

#include <string_view>

#include "base/result.h"

namespace wherry::sys {

// Sends one batch (NFNL_MSG_BATCH_BEGIN ... END, each message with NLM_F_ACK as the builder chose) in the
// calling thread's network namespace and returns the first error the kernel reports.
Result<void> send_nft_batch(std::string_view batch);

}  // namespace wherry::sys
