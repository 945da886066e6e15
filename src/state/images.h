// Rows of images, tags and layers: what the store records beside the files. Plain reads and writes;
// the rules (what may be removed, what a tag means) belong to store/. Digests are texts,
// "sha256:...".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct ImageRow {
  std::string id;  // config digest
  std::string manifest_digest;
  std::string config;    // exact bytes
  std::string manifest;  // exact bytes
  int64_t created_ns = 0;
  bool made_here = true;  // the manifest is ours; false: it came with the image and stays as it is
};

struct LayerRow {
  std::string diff_id;
  int64_t size = 0;      // bytes of the files in its tree
  int64_t tar_size = 0;  // bytes of the uncompressed tar that the diff id is of
  int64_t created_ns = 0;
};

// An image that is there already is left alone (same id, same bytes), but for its manifest: one
// that came with the image replaces what was there.
Result<void> insert_image(Database& database, const ImageRow& row,
                          const std::vector<std::string>& diff_ids);
Result<void> update_manifest(Database& database, std::string_view id, std::string_view digest,
                             std::string_view manifest);
Result<void> insert_layer(Database& database, const LayerRow& row);
// With its tags and its claims on layers.
Result<void> delete_image(Database& database, const std::string& id);
Result<void> delete_layer(Database& database, const std::string& diff_id);

Result<std::optional<ImageRow>> get_image(Database& database, std::string_view id);
// At most two: enough to tell none, one and ambiguous apart. `prefix` starts with "sha256:".
Result<std::vector<ImageRow>> images_by_prefix(Database& database, std::string_view prefix);
// Newest first.
Result<std::vector<ImageRow>> list_images(Database& database);

// Bottom first.
Result<std::vector<LayerRow>> layers_of(Database& database, std::string_view image_id);
Result<std::vector<LayerRow>> list_layers(Database& database);
Result<std::optional<LayerRow>> get_layer(Database& database, std::string_view diff_id);
// The manifests of the images that have this layer.
Result<std::vector<std::string>> manifests_with(Database& database, std::string_view diff_id);
// Of them those that came with their image.
Result<std::vector<std::string>> foreign_manifests_with(Database& database,
                                                        std::string_view diff_id);
// Whether an image has exactly these layers, lowest first.
Result<bool> has_chain(Database& database, const std::vector<std::string>& diff_ids);
// How many images have this layer.
Result<int64_t> layer_users(Database& database, std::string_view diff_id);
// Whether an image or a step of the build cache needs this layer.
Result<bool> layer_in_use(Database& database, std::string_view diff_id);
// Those that neither needs.
Result<std::vector<LayerRow>> unused_layers(Database& database);

// A name may mean several images, one for each platform: which of them goes when another comes is
// for the caller to say.
Result<void> put_tag(Database& database, std::string_view reference, std::string_view image_id);
Result<void> delete_tag(Database& database, std::string_view reference, std::string_view image_id);
Result<std::vector<ImageRow>> tagged_images(Database& database, std::string_view reference);
// Sorted.
Result<std::vector<std::string>> tags_of(Database& database, std::string_view image_id);

// By which digests repositories know an image (RepoDigests).
struct ImageSourceRow {
  std::string repository;  // "docker.io/library/debian"
  std::string digest;
};
// Replaces what the repository knew it by before.
Result<void> put_image_source(Database& database, std::string_view image_id,
                              const ImageSourceRow& source);
// Sorted by repository.
Result<std::vector<ImageSourceRow>> image_sources(Database& database, std::string_view image_id);
// The images that a repository knows by the digest, those of an index; newest first.
Result<std::vector<ImageRow>> images_by_source(Database& database, const ImageSourceRow& source);

}  // namespace wherry::state
