// Snapshots: what a chain of layers looks like, merged and ready to be mounted.
//
//   trees/<tree digest>.erofs   the merged tree without contents (tree/erofs_writer.h)
// and a row that says which chain of layers it is of. Both are made from the layers' records and
// can be thrown away; what a row names is durable before the row is. Inside store/ only.
#pragma once

#include <span>
#include <string>
#include <vector>

#include "state/trees.h"
#include "store/chain.h"
#include "store/store_state.h"

namespace wherry::store {

// "<tree digest>.erofs".
std::string snapshot_name(const std::string& tree);

// A merged tree in the making; nothing if it is there already.
class NewTree {
 public:
  static Result<NewTree> make(Store::State& state, std::span<const LayerFolder> layers);
  // Within a transaction, its file synced before.
  Result<void> place(Store::State& state);
  // The file, if one was made.
  int file() const { return file_.get(); }
  const state::TreeRow& row() const { return row_; }

 private:
  NewTree() = default;
  std::optional<Incoming> incoming_;
  sys::Fd file_;
  state::TreeRow row_;
};

// Whether the file is, bit for bit, what the layers' records make of it. Errors are of the records.
Result<bool> is_whole_snapshot(Store::State& state, const state::TreeRow& row);

// Deletes the rows of chains that need one of the layers, which are going; the names of snapshots
// that no row needs any more. Within a transaction.
Result<std::vector<std::string>> forget_trees(state::Database& database,
                                              const std::vector<Digest>& layers);
// The same of an image that has gone, unless another one has the same layers.
Result<std::vector<std::string>> forget_tree_of(state::Database& database,
                                                const std::vector<state::LayerRow>& layers);
// Best effort: what stays is found by collection, or taken up again.
void remove_snapshots(const Places& places, const std::vector<std::string>& names);

}  // namespace wherry::store
