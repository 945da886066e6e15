// Lease: layers that something at work stands on, held against rmi and prune.
//
//   TRY(store::Lease lease, store.new_lease());
//   TRY_VOID(lease.hold({base}));     // from here until the lease goes nobody removes it
//
// A lease is an entry of incoming/ (store/incoming.h) whose lock file lists what it holds, "hold
// <hex>" a line. It counts as long as its lock is held, so the kernel ends it with its process.
// Images and cached steps may be removed meanwhile: their records go, the held layers stay. What
// nobody has any more when the lease ends is removed then, after a death by the next sweep.
// Not thread-safe; one process.
#pragma once

#include <set>
#include <span>
#include <string>

#include "store/incoming.h"

namespace wherry::store {

class Lease {
 public:
  Lease(Lease&&) noexcept = default;

  // All or none, in a transaction of its own. kNotFound: "no such layer: ...", the first that is
  // not here.
  Result<void> hold(std::span<const Digest> diff_ids);
  // The same within the caller's transaction.
  Result<void> hold_within(std::span<const Digest> diff_ids);

 private:
  friend class Store;
  Lease(const Places& places, state::Database& database, Incoming incoming)
      : places_(&places), database_(&database), incoming_(std::move(incoming)) {}

  const Places* places_;
  state::Database* database_;
  Incoming incoming_;
  std::set<std::string> held_;  // hex
};

// The hex diff ids that living leases hold, without the one named `except`. Within a transaction:
// only so no lease can grow between the answer and what follows from it.
Result<std::set<std::string>> leased_layers(const Places& places, const std::string& except = {});

}  // namespace wherry::store
