// Merger: the file system that a chain of layers makes, as a stream of the entries of a tree.
//
// Overlay's rules: a name is what the highest layer says that has it; a directory over a directory
// takes its metadata and shows the names of both; anything over something else replaces it with all
// that it contained; whiteouts remove, opaque directories hide what lower layers have in them.
// Directories that a layer leaves out above its names are those of lower layers; where nobody has
// one it is root's, 0755, of time 0, and so is the root. Names of one inode in one layer are names
// of one inode in the tree, if at least two are left.
//
// Memory: a path for each layer and a few bytes for each inode with several names. With such inodes
// the records are read twice, once to count which names are left.
#pragma once

#include <cstdint>
#include <memory>
#include <vector>

#include "base/result.h"
#include "tree/record.h"

namespace wherry::tree {

class Merger {
 public:
  // `layers`: lowest first, any number, not read from yet. Errors are theirs.
  static Result<Merger> open(std::vector<RecordReader> layers);
  Merger(Merger&&) noexcept;
  Merger& operator=(Merger&&) noexcept;
  ~Merger();

  // The next entry of the tree, valid until the next call; null at the end. The first is the root.
  Result<const Entry*> next();
  // Back to before the first entry.
  Result<void> rewind();

 private:
  struct State;
  explicit Merger(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry::tree
