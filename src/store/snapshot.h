// Snapshots: what a chain of layers looks like, ready for an overlay to stand on it.
//
//   trees/<tree digest>.erofs    rung erofs: the merged tree without contents (tree/erofs_writer.h)
//   trees/<tree digest>.farm     rung farm: a checkout of it (store/checkout.h)
//   trees/<tree digest>.reflink  rung reflink: likewise
//   trees/<chain id>.layer       rung layers: a checkout of the layer that the chain ends with
//   trees/<name>.aside.<...>     one that was damaged (store/snapshot_look.h)
// and a row that says which tree a chain of layers is. All are made from the layers' records and
// can be thrown away; what has its name here is whole and durable. Inside store/ only.
#pragma once

#include <functional>
#include <span>
#include <string>
#include <vector>

#include "state/trees.h"
#include "store/chain.h"
#include "store/store_state.h"

namespace wherry::store {

// In an entry of incoming/: one in the making.
inline constexpr const char* kNewSnapshot = "tree";

// What a chain stands on, in the making; nothing of what is there already.
class NewTree {
 public:
  static Result<NewTree> make(Store::State& state, std::span<const LayerFolder> layers);
  // Whether anything is to be synced before place().
  bool is_new() const { return !made_.empty(); }
  // Within a transaction.
  Result<void> place(Store::State& state);
  const state::TreeRow& row() const { return row_; }

 private:
  struct Made {
    std::string name;
    Incoming incoming;
  };
  Result<void> make_missing(Store::State& state, Rung rung, std::span<const LayerFolder> layers);
  Result<void> add(Store::State& state, const std::string& name,
                   const std::function<Result<void>(int)>& write);

  state::TreeRow row_;
  std::vector<Made> made_;
  Rung rung_ = Rung::kErofs;
};

// What the checkout `index` of a chain, lowest first, consists of: of the tree, or on the rung
// layers of a layer.
Result<void> each_entry(const ChainRecords& records, Rung rung, size_t index,
                        const std::function<Result<void>(const tree::Entry&)>& work);

// The row's diff ids, lowest first.
Result<std::vector<Digest>> layers_of(const state::TreeRow& row);

// What the rung needs below trees/, topmost first; `row` of the chain.
std::vector<std::string> snapshot_names(Rung rung, const state::TreeRow& row);
// The hex digest that a name below trees/ begins with.
std::string snapshot_base(const std::string& name);
// Those of all that any rung may have for a chain.
std::vector<std::string> snapshot_bases(const state::TreeRow& row);
// Whether a chain that is recorded needs what begins so.
Result<bool> is_snapshot_needed(state::Database& database, const Digest& base);

// Whether the EROFS file is, bit for bit, what the layers' records make of it. Errors are of the
// records.
Result<bool> is_whole_snapshot(Store::State& state, const state::TreeRow& row);

// The file in the place of one that is damaged; or what is missing on the machine's rung. Errors
// are of the records.
Result<void> remake_snapshot(Store::State& state, const state::TreeRow& row);
Result<void> make_missing_snapshot(Store::State& state, const state::TreeRow& row);

// Deletes the rows of chains that need one of the layers, which are going; the digests (hex) of
// snapshots that nobody needs any more. Within a transaction.
Result<std::vector<std::string>> forget_trees(state::Database& database,
                                              const std::vector<Digest>& layers);
// The same of an image that has gone, unless another one has the same layers.
Result<std::vector<std::string>> forget_tree_of(state::Database& database,
                                                const std::vector<state::LayerRow>& layers);
// Moves them into the directory of an entry that is going to be removed. Best effort: what stays is
// whole, is found by collection, or taken up again.
void take_snapshots(const Places& places, int trash, const std::vector<std::string>& bases);

}  // namespace wherry::store
