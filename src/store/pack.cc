// From a layer's tree back to the blob that travels, and the manifests that need it.
#include <algorithm>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "state/blobs.h"
#include "store/layer_folder.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

bool is_compressed_as(const Blob& blob, archive::Compression compression) {
  auto found = oci::layer_compression(blob.media_type);
  return found && oci::layer_media_type(oci::kMediaTypeManifest, *found) ==
                      std::string_view(media_type_of(compression));
}

// The first kept blob with the wanted compression, else the first one.
std::optional<Blob> choose(const std::vector<Blob>& blobs, archive::Compression compression) {
  if (blobs.empty()) return std::nullopt;
  auto found = std::ranges::find_if(
      blobs, [&](const Blob& blob) { return is_compressed_as(blob, compression); });
  return found != blobs.end() ? *found : blobs.front();
}

// Whether every layer of the manifest is there in the form that it names.
Result<bool> is_distributable(state::Database& database, const Places& places,
                              const std::string& manifest_json) {
  TRY(oci::Manifest manifest, oci::parse_manifest(manifest_json));
  for (const oci::Descriptor& layer : manifest.layers) {
    TRY(auto row, state::get_blob(database, layer.digest.str()));
    if (!row || !sys::exists_at(places.blobs.get(), layer.digest.hex())) return false;
  }
  return true;
}

}  // namespace

Result<Blob> Store::blob_for(const Digest& diff_id, archive::Compression compression) {
  TRY(std::vector<Blob> kept, blobs_of(diff_id));
  if (std::optional<Blob> chosen = choose(kept, compression)) return std::move(*chosen);
  TraceScope trace("store.pack");
  const std::string context = "cannot pack layer '" + diff_id.str() + "'";
  // Nobody takes an object away meanwhile.
  TRY_CTX(auto objects, state_->hold_objects(), context);
  TRY_CTX(sys::Fd folder, open_layer(state_->places, diff_id), context);
  TRY_CTX(sys::Fd recipe, sys::open_at(folder.get(), kRecipe, O_RDONLY | O_NOFOLLOW), context);
  TRY_CTX(Incoming incoming, Incoming::create(state_->places, state_->database), context);
  TRY_CTX(sys::Fd file,
          sys::open_at(incoming.directory(), kDraftBlob, O_RDWR | O_CREAT | O_EXCL, 0600), context);
  TRY_CTX(archive::Rebuilt packed,
          archive::run_rebuild({.recipe = recipe.get(),
                                .objects = state_->places.objects.get(),
                                .lock = incoming.lock_fd(),
                                .blob = file.get(),
                                .compression = compression}),
          context);
  if (packed.diff_id != diff_id)
    return Error(ErrorKind::kCorrupt, context + ": its recipe gives '" + packed.diff_id.str() + "'")
        .set_hint("load or pull the image again");
  Blob blob{packed.blob, packed.blob_size, media_type_of(compression)};
  TRY_VOID_CTX(incoming.list({{}, {blob.digest}}, /*sync=*/false), context);
  TRY_VOID_CTX(failpoint("store.blob.packed"), context);
  TRY_VOID_CTX(sys::sync_filesystem(incoming.directory()), context);
  {
    TRY_CTX(auto transaction, state_->database.begin(), context);
    TRY(auto layer, state::get_layer(state_->database, diff_id.str()));
    if (!layer) return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
    TRY_VOID_CTX(place_blob(state_->places, state_->database, incoming, kDraftBlob, blob, diff_id,
                            wall_clock_ns()),
                 context);
    TRY_VOID_CTX(sys::sync_dir(state_->places.blobs.get()), context);
    TRY_VOID_CTX(failpoint("store.blob.renamed"), context);
    TRY_VOID_CTX(transaction.commit(), context);
  }
  return blob;
}

Result<std::string> Store::own_manifest(const Image& image,
                                        const std::function<void(const Digest&)>& packing) {
  TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
  for (const Digest& diff_id : config.diff_ids) {
    TRY(std::vector<Blob> kept, blobs_of(diff_id));
    if (!kept.empty()) continue;
    if (packing) packing(diff_id);
    TRY([[maybe_unused]] Blob blob, blob_for(diff_id, archive::Compression::kGzip));
  }
  return make_manifest(state_->database, image.config_json, config.diff_ids);
}

Result<std::string> Store::distributable_manifest(
    const Image& image, const std::function<void(const Digest&)>& packing) {
  TRY(auto row, state::get_image(state_->database, image.id.str()));
  if (!row) return Error(ErrorKind::kNotFound, "no such image: " + image.id.str());
  if (!row->made_here) return row->manifest;
  TRY(bool ready, is_distributable(state_->database, state_->places, row->manifest));
  if (ready) return row->manifest;
  TRY(std::string manifest, own_manifest(image, packing));
  TRY(auto transaction, state_->database.begin());
  TRY_VOID(
      state::update_manifest(state_->database, row->id, sys::sha256(manifest).str(), manifest));
  TRY_VOID(transaction.commit());
  return manifest;
}

}  // namespace wherry::store
