#include "store/layer_draft.h"

#include <sys/stat.h>

#include <cerrno>

#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {

Result<LayerDraft> Store::new_layer() {
  const Places& places = state_->places;
  TRY_CTX(Incoming incoming, Incoming::create(places, state_->database), "cannot begin a layer");
  TRY_CTX(sys::Fd tree, sys::make_dir_at(incoming.directory(), kTree, 0755),
          "cannot begin a layer");
  TRY_CTX(sys::Fd work, sys::make_dir_at(incoming.directory(), kWork, 0700),
          "cannot begin a layer");
  std::string directory = places.root + "/" + kIncoming + "/" + incoming.name() + "/";
  return LayerDraft(std::move(incoming), std::move(tree), directory + kTree, directory + kWork);
}

Result<int> LayerDraft::blob_fd() {
  if (!blob_) {
    TRY_CTX(blob_, sys::open_at(incoming_.directory(), kDraftBlob, O_RDWR | O_CREAT | O_EXCL, 0600),
            "cannot keep a layer's blob");
  }
  return blob_.get();
}

Result<void> LayerDraft::finish(LayerFacts facts) {
  if (facts_) return Error(ErrorKind::kInternal, "a layer was finished twice");
  Moves moves{{facts.diff_id}, {}};
  if (facts.blob) {
    struct stat info{};
    if (!blob_) return Error(ErrorKind::kInternal, "a layer was finished without its blob");
    if (fstat(blob_.get(), &info) != 0)
      return Error::from_errno(errno, "cannot look at a layer's blob");
    if (static_cast<uint64_t>(info.st_size) != facts.blob->size)
      return Error(ErrorKind::kCorrupt, "blob '" + facts.blob->digest.str() + "' has " +
                                            std::to_string(info.st_size) + " bytes, not " +
                                            std::to_string(facts.blob->size));
    moves.blobs.push_back(facts.blob->digest);
  } else if (blob_ && unlinkat(incoming_.directory(), kDraftBlob, 0) != 0) {
    return Error::from_errno(errno, "cannot drop a layer's blob");
  }
  // What an overlay needed while the tree was its upper must not travel into layers/.
  TRY_VOID(sys::remove_tree_at(incoming_.directory(), kWork));
  TRY_VOID(incoming_.list(moves, /*sync=*/false));
  facts_ = std::move(facts);
  return {};
}

Result<archive::Unpacked> unpack_draft(LayerDraft& draft, int tar_fd) {
  TRY(int blob, draft.blob_fd());
  return archive::run_unpack(
      {.tar = tar_fd, .directory = draft.tree(), .lock = draft.lock_fd(), .blob = blob});
}

LayerFacts facts_of(const archive::Unpacked& layer) {
  return {layer.diff_id, layer.tar_size, layer.files_size,
          Blob{layer.blob, layer.blob_size, media_type_of(layer.blob_compression)}};
}

std::string media_type_of(archive::Compression compression) {
  switch (compression) {
    case archive::Compression::kGzip:
      return oci::kMediaTypeLayerGzip;
    case archive::Compression::kZstd:
      return oci::kMediaTypeLayerZstd;
    case archive::Compression::kNone:
      break;
  }
  return oci::kMediaTypeLayerTar;
}

}  // namespace wherry::store
