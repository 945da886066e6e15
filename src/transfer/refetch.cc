#include "transfer/refetch.h"

#include <optional>

#include "base/failpoint.h"
#include "base/trace.h"
#include "oci/media_type.h"
#include "transfer/attempts.h"

namespace wherry::transfer {
namespace {

using Draft = Result<store::LayerDraft>;

Draft fetch_from(const std::string& repository, store::Store& store, const WantedLayer& layer,
                 const EndpointsOf& endpoints_of, const OnProgress& progress) {
  TRY(oci::ImageRef place, oci::ImageRef::parse(repository));
  TRY(std::vector<Endpoint> endpoints, endpoints_of(place.domain()));
  return first_endpoint(endpoints, [&](const Endpoint& endpoint, bool& plain_http) -> Draft {
    TRY(Remote remote, Remote::open(endpoint, place.path(), "pull"));
    auto drafts = fetch_layers(remote, store, {layer}, /*parallel=*/1, progress);
    plain_http = remote.met_plain_http();
    if (!drafts) return std::move(drafts.error());
    return std::move(drafts->front());
  });
}

Draft fetch_again(const std::vector<std::string>& places, store::Store& store,
                  const WantedLayer& layer, const EndpointsOf& endpoints_of,
                  const OnProgress& progress) {
  Error last(ErrorKind::kNotFound, "no registry is known to have it");
  for (const std::string& repository : places) {
    Draft draft = fetch_from(repository, store, layer, endpoints_of, progress);
    if (draft) return draft;
    last = std::move(draft.error());
  }
  return std::move(last).wrap("layer '" + layer.blob.digest.str() +
                              "' is not kept in the form that its manifest names, and cannot be "
                              "fetched again");
}

}  // namespace

Result<std::vector<std::string>> blob_places(store::Store& store, const store::Image& image,
                                             const Digest& blob) {
  TRY(std::vector<std::string> places, store.blob_sources(blob));
  // Where the image came from whole, each of its blobs is.
  if (!image.made_here)
    for (const std::string& known : image.repo_digests)
      places.push_back(known.substr(0, known.find('@')));
  return places;
}

Result<std::vector<WantedLayer>> lost_layers(store::Store& store, const store::Image& image) {
  TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
  TRY(oci::Manifest manifest, oci::parse_manifest(image.manifest_json));
  if (manifest.layers.size() != config.diff_ids.size())
    return Error(ErrorKind::kCorrupt, "its manifest does not belong to its configuration");
  std::vector<WantedLayer> lost;
  for (size_t i = 0; i < manifest.layers.size(); ++i) {
    const oci::Descriptor& blob = manifest.layers[i];
    if (oci::is_foreign_layer(blob.media_type)) continue;
    Result<sys::Fd> kept = store.open_blob(blob.digest);
    if (!kept && kept.error().kind() != ErrorKind::kNotFound) return std::move(kept.error());
    if (!kept) lost.push_back({config.diff_ids[i], blob});
  }
  return lost;
}

Result<void> refetch(store::Store& store, const store::Image& image,
                     const std::vector<WantedLayer>& lost, const EndpointsOf& endpoints_of,
                     const OnProgress& progress) {
  if (lost.empty()) return {};
  TraceScope trace("transfer.refetch");
  std::vector<store::LayerDraft> drafts;
  for (const WantedLayer& layer : lost) {
    TRY(std::vector<std::string> places, blob_places(store, image, layer.blob.digest));
    TRY(store::LayerDraft draft, fetch_again(places, store, layer, endpoints_of, progress));
    drafts.push_back(std::move(draft));
  }
  TRY_VOID(failpoint("transfer.refetch.layers"));
  TRY([[maybe_unused]] auto none, store.commit(std::move(drafts), std::nullopt));
  return {};
}

}  // namespace wherry::transfer
