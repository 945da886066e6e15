// Garbage collection: blobs that no manifest of their repository names, then contents that no
// repository has. Runs beside a server.
//
// What is younger than an hour stays: it may belong to a push whose manifest comes last. A server
// makes each thing fresh before it relies on it, under the shared collection lock; a removal looks
// again under the exclusive one. So a kill at any point, and any push at the same time, leaves
// every manifest whole.
#pragma once

#include <cstddef>
#include <cstdint>

#include "base/result.h"
#include "registry/store_root.h"

namespace wherry::registry {

struct Collected {
  size_t marks = 0;  // blobs taken from a repository
  size_t blobs = 0;  // contents removed
  uint64_t bytes = 0;
};

// `dry_run`: only counts.
Result<Collected> collect_garbage(StoreRoot& root, bool dry_run);

}  // namespace wherry::registry
