// Rows of merged trees: what a chain of layers looks like, by the chain's id. Only knowledge that
// can be had again from the layers' records; the files belong to store/. Digests are texts,
// "sha256:...".
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct TreeRow {
  std::string chain;                // OCI chain id of the layers
  std::string tree;                 // digest of the merged tree
  std::vector<std::string> layers;  // diff ids, lowest first
  int64_t entries = 0;
  int64_t size = 0;   // bytes of the files, each once
  std::string image;  // digest of the file that is mounted; empty: none was made
};

// One that is there already is left alone but for its image: the same layers give the same tree.
Result<void> insert_tree(Database& database, const TreeRow& row);
Result<void> delete_tree(Database& database, std::string_view chain);
Result<std::optional<TreeRow>> get_tree(Database& database, std::string_view chain);
// Whether any chain looks like this tree.
Result<bool> has_tree(Database& database, std::string_view tree);
// What is known of the tree's image; empty: nothing.
Result<std::string> image_of_tree(Database& database, std::string_view tree);
Result<std::vector<TreeRow>> list_trees(Database& database);

}  // namespace wherry::state
