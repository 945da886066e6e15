// LayerSeal: what is written of a layer's tree while it is packed, besides its tar: the record,
// with the digest of each file's content, and the recipe. One that was given no files does nothing.
#pragma once

#include <memory>
#include <optional>
#include <string_view>
#include <vector>

#include "archive/output_file.h"
#include "archive/recipe.h"
#include "archive/tar_header.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace wherry::archive {

class LayerSeal {
 public:
  // Both borrowed; -1: nothing is wanted.
  static Result<std::unique_ptr<LayerSeal>> open(int record, int recipe);

  // The next bytes of the tar, but for those of content().
  Result<void> raw(std::string_view bytes);
  // The next bytes of the file whose entry comes next, and of the tar.
  void content(std::string_view bytes);

  // In the record's order; the content of a file before. `inode`: see tree::Entry; of a later name
  // of one the path alone counts.
  Result<void> entry(const TarEntry& entry, uint32_t inode, bool opaque);
  Result<void> whiteout(std::string_view path);

  // Once, at the end; nothing when nothing was wanted.
  Result<std::optional<tree::RecordWriter::Summary>> finish(const Digest& diff_id);

 private:
  struct Shared {
    TarEntry entry;
    tree::ObjectId object;
  };
  LayerSeal() = default;
  Result<tree::ObjectId> end_content(uint64_t size);
  Result<void> add(const TarEntry& entry, const tree::ObjectId& object, uint32_t inode, bool opaque,
                   std::string_view path);

  std::unique_ptr<OutputFile> record_file_, recipe_file_;
  std::unique_ptr<tree::RecordWriter> record_;
  std::unique_ptr<RecipeWriter> recipe_;
  sys::Sha256 hash_;
  std::vector<Shared> shared_;  // inodes with several names
};

}  // namespace wherry::archive
