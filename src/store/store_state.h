// What a Store holds and what its parts share. Inside store/ only.
#pragma once

#include <span>

#include "archive/unpack_client.h"
#include "state/images.h"
#include "store/incoming.h"
#include "store/store.h"

namespace wherry::store {

inline constexpr const char* kLayers = "layers";
inline constexpr const char* kObjects = "objects";
inline constexpr const char* kTrees = "trees";
inline constexpr const char* kIncoming = "incoming";
inline constexpr const char* kTree = "fs";
inline constexpr const char* kWork = "work";
inline constexpr const char* kDraftBlob = "blob";

struct Store::State {
  state::Database& database;
  Places places;
  StoreOptions options;
  std::optional<Rung> chosen_rung;
  // Held shared as long as a draft lives, so that nobody removes an object it counts on.
  std::weak_ptr<sys::FileLock> objects_lock;

  Result<std::shared_ptr<sys::FileLock>> hold_objects();
  // Chosen when first asked for.
  Result<Rung> rung();
};

// "docker.io/library/debian:bookworm".
std::string tag_key(const oci::ImageRef& reference);

struct FoundImage {
  state::ImageRow row;
  bool by_id = false;  // false: by a reference
};
// A reference goes before an id, as in Docker. A name or digest of several platforms gives the
// image of `platform` ("os/arch[/variant]"); empty: this machine's, or else any. kNotFound: "no
// such image: x".
Result<FoundImage> find_image(state::Database& database, std::string_view name_or_id,
                              std::string_view platform = {});
// Gives the image a name, which another one of the same platform loses.
Result<void> set_tag(state::Database& database, const std::string& key,
                     const state::ImageRow& image);

// The image of a row, with everything that other rows say of it.
Result<Image> image_of(state::Database& database, state::ImageRow row);

// A foreign tar into a draft, its blob kept; and what finish() wants to know of it.
Result<archive::UnpackingObjects> start_unpacking(LayerDraft& draft, int tar_fd,
                                                  std::optional<archive::FilePart> part = {});
Result<archive::Unpacked> unpack_draft(LayerDraft& draft, int tar_fd);
LayerFacts facts_of(const archive::Unpacked& layer);
std::string media_type_of(archive::Compression compression);
// OCI's name of the same bytes: Docker's do not mix with an OCI manifest.
std::string oci_layer_type(const std::string& media_type);

// Store::commit for several images at once: their ids.
Result<std::vector<Digest>> commit_images(Store::State& state, std::vector<LayerDraft> layers,
                                          std::span<const NewImage> images,
                                          const std::function<Result<void>()>& within);

// The layer's folder; kNotFound: "no such layer: ...".
Result<sys::Fd> open_layer(const Places& places, const Digest& diff_id);
// Whether the layer is all that it was when it was brought (store/look.h).
bool is_whole(const Places& places, const Digest& diff_id);

// An OCI manifest that names of each layer the newest blob, else the plain tar.
Result<std::string> make_manifest(state::Database& database, const std::string& config_json,
                                  const std::vector<Digest>& diff_ids);

// Removes those of the layers that neither an image nor a cached step needs and no lease but the
// one named `except` holds. One transaction, none when there is nothing to remove.
Result<void> forget_unneeded_layers(const Places& places, state::Database& database,
                                    const std::vector<Digest>& layers, const std::string& except);

// Puts the file `name` of the entry in its place among the blobs and records it; one that is there
// already is left alone. Within the caller's transaction.
Result<void> place_blob(const Places& places, state::Database& database, Incoming& incoming,
                        const char* name, const Blob& blob, const Digest& diff_id, int64_t now);

}  // namespace wherry::store
