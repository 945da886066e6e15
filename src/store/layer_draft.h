// LayerDraft: a layer in the making, on its way from incoming/ to layers/.
//
//   TRY(LayerDraft draft, store.new_layer());                       // incoming/<random>/fs, locked
//   ... wherry-unpack, or an overlay with draft.tree_path() as upper, fills the tree ...
//   TRY_VOID(draft.finish(packed or unpacked));                     // its digests are known now
//   TRY(Image image, store.commit({drafts...}, new_image));         // durable from here
//
// A draft that is dropped, or whose process dies, leaves nothing (store/incoming.h). The tree may
// be the lower of a mounted overlay while it is committed: it is only renamed.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "base/digest.h"
#include "store/incoming.h"

namespace wherry::store {

// The compressed form of a layer as it travels.
struct Blob {
  Digest digest;
  uint64_t size = 0;
  std::string media_type;  // oci::kMediaTypeLayerGzip and its kin, docker's names included
};

struct LayerFacts {
  Digest diff_id;
  uint64_t tar_size = 0;     // bytes of the uncompressed tar
  uint64_t files_size = 0;   // bytes of the files in the tree
  std::optional<Blob> blob;  // what blob_fd() has received; absent: nothing was kept
};

class LayerDraft {
 public:
  LayerDraft(LayerDraft&&) noexcept = default;

  int tree() const { return tree_.get(); }                     // incoming/<random>/fs
  const std::string& tree_path() const { return tree_path_; }  // absolute
  const std::string& work_path() const { return work_path_; }  // beside it, for an overlay
  int lock_fd() const { return incoming_.lock_fd(); }
  // Made when first asked for: incoming/<random>/blob, empty, opened for reading and writing.
  Result<int> blob_fd();
  // Once, when the tree is whole and no overlay has it as its upper any more. A blob that was made
  // and is not in `facts` is not kept.
  Result<void> finish(LayerFacts facts);
  const std::optional<LayerFacts>& facts() const { return facts_; }
  Incoming& incoming() { return incoming_; }  // for the store

 private:
  friend class Store;
  LayerDraft(Incoming incoming, sys::Fd tree, std::string tree_path, std::string work_path)
      : incoming_(std::move(incoming)),
        tree_(std::move(tree)),
        tree_path_(std::move(tree_path)),
        work_path_(std::move(work_path)) {}

  Incoming incoming_;
  sys::Fd tree_;
  std::string tree_path_, work_path_;
  sys::Fd blob_;
  std::optional<LayerFacts> facts_;
};

}  // namespace wherry::store
