// A chain of layers, read: their records, merged. Inside store/ only.
#pragma once

#include <span>
#include <vector>

#include "store/layer_folder.h"
#include "tree/merge.h"

namespace wherry::store {

struct LayerFolder {
  Digest diff_id;
  sys::Fd folder;
};

// OCI chain id (image-spec 1.1, config.md, "Layer ChainID"). `layers` not empty, lowest first.
Digest chain_id(std::span<const Digest> layers);

// The same of texts, "sha256:...": of the chains that end with each of the layers, lowest first.
std::vector<std::string> chain_ids(std::span<const std::string> layers);

// The diff ids of an image, lowest first.
Result<std::vector<Digest>> layers_of_image(state::Database& database, const Digest& image);

// kNotFound names the layer that is not here.
Result<std::vector<LayerFolder>> open_chain(const Places& places, const std::vector<Digest>& ids);

// The records of a chain, mapped; what merge() returns goes through them and must not outlive them.
class ChainRecords {
 public:
  static Result<ChainRecords> open(std::span<const LayerFolder> layers);
  Result<tree::Merger> merge() const { return merge(files_.size()); }
  // Of the lowest `count`.
  Result<tree::Merger> merge(size_t count) const;
  // Of all, with one more layer on top.
  Result<tree::Merger> merge_below(tree::RecordReader top) const;
  Result<tree::RecordReader> layer(size_t index) const;

 private:
  Result<std::vector<tree::RecordReader>> readers(size_t count) const;

  std::vector<MappedFile> files_;
};

}  // namespace wherry::store
