// Manifests of images that are made here: from the configuration and the layers' blobs.
#include "state/blobs.h"
#include "store/store_state.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

Result<oci::Descriptor> describe_layer(state::Database& database, const Digest& diff_id) {
  TRY(std::vector<state::BlobRow> blobs, state::blobs_of(database, diff_id.str()));
  if (!blobs.empty()) {
    const state::BlobRow& blob = blobs.front();
    TRY_CTX(Digest digest, Digest::parse(blob.digest), "damaged state");
    return oci::Descriptor{oci_layer_type(blob.media_type), std::move(digest), blob.size, {}};
  }
  TRY(auto layer, state::get_layer(database, diff_id.str()));
  if (!layer) return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
  return oci::Descriptor{oci::kMediaTypeLayerTar, diff_id, layer->tar_size, {}};
}

}  // namespace

std::string oci_layer_type(const std::string& media_type) {
  return oci::layer_media_type(
      oci::kMediaTypeManifest,
      oci::layer_compression(media_type).value_or(oci::Compression::kNone));
}

Result<std::string> make_manifest(state::Database& database, const std::string& config_json,
                                  const std::vector<Digest>& diff_ids) {
  oci::Manifest manifest{oci::kMediaTypeManifest,
                         {oci::kMediaTypeConfig,
                          sys::sha256(config_json),
                          static_cast<int64_t>(config_json.size()),
                          {}},
                         {},
                         {}};
  for (const Digest& diff_id : diff_ids) {
    TRY(oci::Descriptor layer, describe_layer(database, diff_id));
    manifest.layers.push_back(std::move(layer));
  }
  return oci::to_json(manifest);
}

}  // namespace wherry::store
