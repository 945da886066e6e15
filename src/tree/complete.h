// Completer: a layer's entries with the root and the directories that its record leaves out above
// its names, as the tree has them that the layer is the top of.
//
// Whoever puts a layer down as a directory that overlay stacks needs them: the highest directory of
// a name is the one whose owner, mode, times and attributes a container sees. Reads both streams
// once; memory does not grow with them.
#pragma once

#include <string>

#include "tree/lookup.h"

namespace wherry::tree {

class Completer {
 public:
  // `layer`: the entries of its record; `tree`: those of the chain that ends with it
  // (tree/merge.h).
  Completer(Entries layer, Entries tree) : layer_(std::move(layer)), tree_(std::move(tree)) {}

  // The next entry of the layer, valid until the next call; null at the end. The first is the root.
  Result<const Entry*> next();

 private:
  Result<const Entry*> left_out(std::string_view path);

  Entries layer_;
  Lookup tree_;
  const Entry* head_ = nullptr;  // of the layer, not told yet
  bool begun_ = false;
  std::string directory_;  // it and all above it were told
  Entry shown_;
};

}  // namespace wherry::tree
