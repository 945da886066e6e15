// Store::load: an image archive becomes images, all of them or none.
#include <algorithm>
#include <optional>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "oci/platform.h"
#include "store/early_sync.h"
#include "store/image_archive.h"
#include "store/store_state.h"

namespace wherry::store {
namespace {

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

// What was unpacked must be what the configuration and, in a layout, the descriptor promise.
Result<void> check_layer(const archive::Unpacked& unpacked, const ArchivedLayer& layer,
                         const Digest& diff_id) {
  if (layer.descriptor && unpacked.input != layer.descriptor->digest)
    return corrupt("it has the digest '" + unpacked.input.str() + "'");
  if (layer.descriptor && unpacked.input_size != static_cast<uint64_t>(layer.descriptor->size))
    return corrupt("it has " + std::to_string(unpacked.input_size) + " bytes, not " +
                   std::to_string(layer.descriptor->size));
  if (unpacked.diff_id != diff_id)
    return corrupt("it unpacks to '" + unpacked.diff_id.str() + "', but the configuration has '" +
                   diff_id.str() + "' at its place");
  return {};
}

// The drafts of an archive's layers; each layer once. While one is admitted to the store, the next
// is being unpacked.
class Drafts {
 public:
  Drafts(Store& store, const ImageArchive& archive) : store_(store), archive_(archive) {}

  Result<void> add(const ArchivedLayer& layer, const Digest& diff_id) {
    TRY(bool needed, is_needed(layer, diff_id));
    if (!needed) return {};
    TRY(LayerFile file, archive_.layer(layer.path));
    TRY(LayerDraft draft, store_.new_archive_layer());
    TRY_VOID(wait());
    TRY_CTX(archive::UnpackingObjects unpacking, start_unpacking(draft, file.fd.get(), file.part),
            "layer '" + layer.path + "'");
    std::optional<Layer> before = std::move(last_);
    last_.emplace(&layer, diff_id, std::move(draft), std::move(unpacking));
    made_.insert(diff_id);
    return before ? admit(std::move(*before)) : Result<void>();
  }
  Result<std::vector<LayerDraft>> finish() && {
    TRY_VOID(wait());
    if (last_) TRY_VOID(admit(std::move(*last_)));
    return std::move(drafts_);
  }

 private:
  struct Layer {
    const ArchivedLayer* from;
    Digest diff_id;
    LayerDraft draft;
    archive::UnpackingObjects unpacking;
    std::optional<archive::Unpacked> unpacked = {};
  };

  // For the one that is being unpacked.
  Result<void> wait() {
    if (!last_) return {};
    const std::string context = "layer '" + last_->from->path + "'";
    TRY_CTX(archive::UnpackedObjects unpacked, last_->unpacking.finish(), context);
    last_->unpacked = std::move(unpacked.layer);
    TRY_VOID_CTX(check_layer(*last_->unpacked, *last_->from, last_->diff_id), context);
    return {};
  }
  Result<void> admit(Layer layer) {
    TRY_VOID(layer.draft.finish(facts_of(*layer.unpacked)));
    TRY_VOID(failpoint("store.load.layer"));
    sync_.count(layer.draft.folder(), layer.draft.files_size());
    drafts_.push_back(std::move(layer.draft));
    return {};
  }
  // Not when it is here: with the very blob that the archive's manifest names, unless that is the
  // plain tar, which can be made again.
  Result<bool> is_needed(const ArchivedLayer& layer, const Digest& diff_id) {
    if (made_.contains(diff_id)) return false;
    TRY(bool here, store_.has_layer(diff_id));
    if (!here) return true;
    if (!layer.descriptor || layer.descriptor->digest == diff_id) return false;
    TRY(std::vector<Blob> blobs, store_.blobs_of(diff_id));
    return std::ranges::find(blobs, layer.descriptor->digest, &Blob::digest) == blobs.end();
  }

  Store& store_;
  const ImageArchive& archive_;
  std::set<Digest> made_;
  std::optional<Layer> last_;
  EarlySync sync_;
  std::vector<LayerDraft> drafts_;
};

Result<std::vector<LayerDraft>> unpack_layers(Store& store, const ImageArchive& archive,
                                              const std::vector<PlannedImage>& images) {
  Drafts drafts(store, archive);
  for (const PlannedImage& image : images)
    for (size_t i = 0; i < image.layers.size(); ++i)
      TRY_VOID(drafts.add(image.layers[i], image.diff_ids[i]));
  return std::move(drafts).finish();
}

std::vector<NewImage> new_images(const std::vector<PlannedImage>& planned) {
  std::vector<NewImage> images;
  for (const PlannedImage& image : planned)
    images.push_back({.manifest_json = image.manifest_json,
                      .config_json = image.config_json,
                      .references = image.names,
                      .sources = {}});
  return images;
}

}  // namespace

Result<std::vector<Store::Loaded>> Store::load(int archive_fd, const LoadOptions& options) {
  TraceScope trace("store.load");
  const std::string context =
      options.source.empty() ? "cannot load" : "cannot load '" + options.source + "'";
  std::string platform;
  if (!options.platform.empty()) {
    TRY_CTX(oci::Platform parsed, oci::parse_platform(options.platform), context);
    platform = oci::to_text(parsed);
  }
  TRY_VOID_CTX(failpoint("store.load.begin"), context);
  std::vector<PlannedImage> planned;
  std::vector<LayerDraft> drafts;
  {
    TRY_CTX(ImageArchive archive, ImageArchive::open(state_->places, state_->database, archive_fd),
            context);
    TRY_VOID_CTX(failpoint("store.load.opened"), context);
    TRY_CTX(planned, archive.images(platform), context);
    TRY_CTX(drafts, unpack_layers(*this, archive, planned), context);
    // The archive's own files go before the sync: nobody needs them on the disk.
  }
  TRY_CTX(std::vector<Digest> ids,
          commit_images(*state_, std::move(drafts), new_images(planned), {}), context);
  std::vector<Loaded> loaded;
  for (size_t i = 0; i < ids.size(); ++i) {
    TRY(Image image, find(ids[i].str()));
    loaded.push_back({std::move(image), planned[i].names});
  }
  return loaded;
}

}  // namespace wherry::store
