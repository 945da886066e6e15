// LayerDraft: a layer in the making, on its way from incoming/ to layers/.
//
// From an archive:
//   TRY(LayerDraft draft, store.new_archive_layer());     // incoming/<random>/, locked
//   ... wherry-unpack fills the folder with objects, record and recipe ...
//   TRY_VOID(draft.finish(facts));                        // objects are among the others now
// From a build:
//   TRY(LayerDraft draft, store.new_layer());             // incoming/<random>/fs, locked
//   ... an overlay with draft.tree_path() as upper fills the tree ...
//   ... wherry-unpack pack writes record and recipe ...
//   TRY_VOID(draft.finish(facts));                        // its digests are known now
// Both:
//   TRY(Image image, store.commit({drafts...}, new_image));  // durable from here
//
// A draft that is dropped, or whose process dies, leaves nothing (store/incoming.h). A build's tree
// may be the lower of mounted overlays until it is committed: then its files become objects. It
// also serves as a scratch directory that nobody has to clean up.
#pragma once

#include <cstdint>
#include <memory>
#include <optional>
#include <string>

#include "archive/objects_client.h"
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
  std::optional<Blob> blob;  // what blob_fd() has received; absent: nothing was kept
};

class LayerDraft {
 public:
  LayerDraft(LayerDraft&&) noexcept = default;

  int folder() const { return incoming_.directory(); }         // incoming/<random>
  int tree() const { return tree_.get(); }                     // incoming/<random>/fs
  const std::string& tree_path() const { return tree_path_; }  // absolute
  const std::string& work_path() const { return work_path_; }  // beside it, for an overlay
  int lock_fd() const { return incoming_.lock_fd(); }
  // Entries that it may have; more are refused.
  uint64_t max_entries() const { return max_entries_; }
  // Made when first asked for: incoming/<random>/blob, empty, opened for reading and writing.
  Result<int> blob_fd();
  // What unpacks an archive into this draft, but for the archive itself; its blob is kept.
  Result<archive::ObjectsJob> job();
  // As blob_fd(), where a helper that packs the tree is to write record and recipe.
  Result<int> record_fd();
  Result<int> recipe_fd();
  // Once, when the helper is done and no overlay has the tree as its upper any more. A blob that
  // was made and is not in `facts` is not kept. kCorrupt: what the helper has left is not whole.
  Result<void> finish(LayerFacts facts);
  const std::optional<LayerFacts>& facts() const { return facts_; }

  // --- for the store
  Incoming& incoming() { return incoming_; }
  // Bytes of the files, each once; after finish().
  uint64_t files_size() const { return files_size_; }
  // A build's files become objects. The caller holds the objects' lock shared.
  Result<void> seal();

 private:
  friend class Store;
  LayerDraft(const Places& places, Incoming incoming)
      : places_(&places), incoming_(std::move(incoming)) {}
  Result<int> file(sys::Fd& fd, const char* name);

  const Places* places_;
  Incoming incoming_;
  // Of archives. After `incoming_`: given up before that removes what it has.
  std::shared_ptr<sys::FileLock> objects_;
  sys::Fd tree_;  // of builds
  std::string tree_path_, work_path_;
  sys::Fd blob_, record_, recipe_;
  std::optional<LayerFacts> facts_;
  uint64_t files_size_ = 0;
  uint64_t max_entries_ = 0;
};

}  // namespace wherry::store
