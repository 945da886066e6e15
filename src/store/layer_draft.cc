#include "store/layer_draft.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/trace.h"
#include "store/layer_folder.h"
#include "store/look.h"
#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {

Result<LayerDraft> Store::new_layer() {
  const Places& places = state_->places;
  TRY_CTX(Incoming incoming, Incoming::create(places, state_->database), "cannot begin a layer");
  LayerDraft draft(places, std::move(incoming));
  TRY_CTX(draft.tree_, sys::make_dir_at(draft.folder(), kTree, 0755), "cannot begin a layer");
  TRY_CTX([[maybe_unused]] sys::Fd work, sys::make_dir_at(draft.folder(), kWork, 0700),
          "cannot begin a layer");
  std::string directory = places.root + "/" + kIncoming + "/" + draft.incoming_.name() + "/";
  draft.tree_path_ = directory + kTree;
  draft.work_path_ = directory + kWork;
  return draft;
}

Result<LayerDraft> Store::new_archive_layer() {
  TRY_CTX(auto objects, state_->hold_objects(), "cannot begin a layer");
  TRY_CTX(Incoming incoming, Incoming::create(state_->places, state_->database),
          "cannot begin a layer");
  LayerDraft draft(state_->places, std::move(incoming));
  draft.objects_ = std::move(objects);
  draft.max_entries_ = state_->options.max_layer_entries;
  return draft;
}

Result<int> LayerDraft::file(sys::Fd& fd, const char* name) {
  if (!fd) {
    TRY_CTX(fd, sys::open_at(folder(), name, O_RDWR | O_CREAT | O_EXCL, 0600),
            "cannot make a layer's '" + std::string(name) + "'");
  }
  return fd.get();
}
Result<int> LayerDraft::blob_fd() {
  return file(blob_, kDraftBlob);
}
Result<int> LayerDraft::record_fd() {
  return file(record_, kRecord);
}
Result<int> LayerDraft::recipe_fd() {
  return file(recipe_, kRecipe);
}

Result<void> LayerDraft::finish(LayerFacts facts) {
  if (facts_) return Error(ErrorKind::kInternal, "a layer was finished twice");
  Moves moves{.layers = {facts.diff_id}};
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
  } else if (blob_ && unlinkat(folder(), kDraftBlob, 0) != 0) {
    return Error::from_errno(errno, "cannot drop a layer's blob");
  }
  TRY_CTX(LayerContents contents, read_layer(folder()), "layer '" + facts.diff_id.str() + "'");
  files_size_ = contents.files_size;
  TRY_VOID(write_object_index(folder(), contents.objects));
  TRY_VOID(incoming_.list(moves, /*sync=*/false));
  if (!tree_) {
    TRY_CTX([[maybe_unused]] Admitted admitted, admit_objects(*places_, folder()),
            "layer '" + facts.diff_id.str() + "'");
    TRY_VOID_CTX(note_proven(*places_, folder()), "layer '" + facts.diff_id.str() + "'");
  }
  facts_ = std::move(facts);
  return {};
}

Result<void> LayerDraft::seal() {
  if (!tree_) return {};
  TRY_VOID(seal_upper(*places_, folder()));
  tree_.reset();
  return note_proven(*places_, folder());
}

Result<archive::UnpackingObjects> start_unpacking(LayerDraft& draft, int tar_fd,
                                                  std::optional<archive::FilePart> part) {
  TRY(archive::ObjectsJob job, draft.job());
  job.tar = tar_fd;
  job.part = part;
  return archive::UnpackingObjects::start(job);
}

Result<archive::Unpacked> unpack_draft(LayerDraft& draft, int tar_fd) {
  TraceScope trace("store.unpack");
  TRY(archive::UnpackingObjects unpacking, start_unpacking(draft, tar_fd));
  TRY(archive::UnpackedObjects unpacked, unpacking.finish());
  return std::move(unpacked.layer);
}

Result<archive::ObjectsJob> LayerDraft::job() {
  TRY(int blob, blob_fd());
  return archive::ObjectsJob{.directory = folder(),
                             .store = places_->objects.get(),
                             .lock = lock_fd(),
                             .blob = blob,
                             .max_entries = max_entries_};
}

LayerFacts facts_of(const archive::Unpacked& layer) {
  LayerFacts facts{layer.diff_id, layer.tar_size, {}};
  // Anything else was not kept.
  if (layer.blob_compression != archive::Compression::kNone)
    facts.blob = Blob{layer.blob, layer.blob_size, media_type_of(layer.blob_compression)};
  return facts;
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
