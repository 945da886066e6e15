// Looking at checkouts: the snapshots of the rungs farm, reflink and layers.
//
// One that is damaged is set aside and made again, as it may have containers standing on it that
// run:
//   trees/<name>.aside.<boot>.<n>   goes with the next boot, or with what it is a snapshot of
// Inside store/ only.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <string>
#include <vector>

#include "state/trees.h"
#include "store/store_state.h"

namespace wherry::store {

struct CheckoutState {
  std::vector<std::string> problems;  // the first few: "'usr/bin/x' has another content"
  uint64_t count = 0;                 // of all
  uint64_t bytes = 0;                 // that were read
  ino_t inode = 0;                    // of the directory that was looked at
};
// Compares the checkout `index` of a chain, lowest first, with the layers' records. `read_all`:
// also what nobody has touched. Errors are of the records, or of the disk.
Result<CheckoutState> check_checkout(Store::State& state, Rung rung, const state::TreeRow& row,
                                     size_t index, bool read_all);

// Before a start: all of all once in a boot; then a glance at one, and at all of all if that shows
// that somebody has touched something. False: one was damaged and is set aside.
Result<bool> look_at_checkouts(Store::State& state, Rung rung, const state::TreeRow& row);

// `name` below trees/, unless another one than the one with this inode has the name by now.
Result<void> set_aside(Store::State& state, const std::string& name, ino_t inode);
// Those of earlier boots go. Best effort.
void forget_set_aside(const Places& places, state::Database& database);

}  // namespace wherry::store
