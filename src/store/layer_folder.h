// The files of one layer: layers/<diff id>/, and an entry of incoming/ before it gets there.
//
//   tree     its record (tree/record.h), written by a confined helper
//   recipe   how its exact tar is made again (archive/recipe.h), from the same hand
//   index    the objects that the record names (store/object_index.h), made here
//   fs/      only of layers in the making by a build: the upper of an overlay
// Inside store/ only.
#pragma once

#include <cstdint>
#include <string_view>
#include <vector>

#include "store/objects.h"

namespace wherry::store {

inline constexpr const char* kRecord = "tree";
inline constexpr const char* kRecipe = "recipe";
inline constexpr const char* kIndexFile = "index";

// A file as memory, read only. Moves; unmapped when dropped.
class MappedFile {
 public:
  static Result<MappedFile> open(int dir, const char* name);
  MappedFile(MappedFile&& other) noexcept;
  MappedFile& operator=(MappedFile&&) = delete;
  ~MappedFile();
  std::string_view bytes() const { return bytes_; }

 private:
  explicit MappedFile(std::string_view bytes) : bytes_(bytes) {}
  std::string_view bytes_;
};

// Tells the first name of each file in a record from the others: inodes are numbered in the order
// in which they appear.
class InodesOnce {
 public:
  bool first(const tree::Entry& entry) {
    if (entry.inode == 0) return true;
    if (entry.inode <= seen_) return false;
    seen_ = entry.inode;
    return true;
  }

 private:
  uint32_t seen_ = 0;
};

struct LayerContents {
  uint64_t entries = 0;
  uint64_t files_size = 0;         // each inode once
  std::vector<ObjectRef> objects;  // sorted
};
// Reads the whole record, which proves that it is one.
Result<LayerContents> read_layer(int layer);

// Files of a build's upper become objects: each is hashed, stripped of its metadata, and renamed.
// Then fs/ and what the overlay needed beside it are removed. The record says which file is which
// object; one that is not is kCorrupt. Failpoint: store.object.moved.
Result<void> seal_upper(const Places& places, int entry);

}  // namespace wherry::store
