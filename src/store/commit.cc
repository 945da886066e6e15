// Store::commit: sync once, rename, record. The order is what makes an acknowledged image survive a
// power cut: files, then their names, then the reference (docs/formats/store.md).
#include <algorithm>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "state/blobs.h"
#include "store/look.h"
#include "store/snapshot.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

Error absent(const Digest& diff_id) {
  return corrupt("layer '" + diff_id.str() +
                 "' of the configuration is neither here nor came with the image")
      .set_hint("if images were removed meanwhile, try again");
}

// The parts of a new image that are clear before the store is locked.
struct Checked {
  oci::ImageConfig config;
  Digest id;
  std::optional<oci::Manifest> manifest;  // what came with it
  int64_t created_ns = 0;
};

Result<Checked> check(const NewImage& image, int64_t now) {
  TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
  for (const oci::ImageRef& reference : image.references)
    if (reference.digest())
      return Error(ErrorKind::kInvalidArgument, "cannot tag '" + reference.familiar() +
                                                    "': a reference with a digest names an image "
                                                    "already");
  Checked checked{std::move(config), sys::sha256(image.config_json), {}, now};
  checked.created_ns = parse_rfc3339(checked.config.created).value_or(now);
  if (image.manifest_json.empty()) return checked;
  TRY(oci::Manifest manifest, oci::parse_manifest(image.manifest_json));
  if (manifest.config.digest != checked.id)
    return corrupt("the manifest is of configuration '" + manifest.config.digest.str() +
                   "', not of '" + checked.id.str() + "'");
  if (static_cast<uint64_t>(manifest.config.size) != image.config_json.size())
    return corrupt("the manifest gives the configuration another size than it has");
  if (manifest.layers.size() != checked.config.diff_ids.size())
    return corrupt("the manifest has " + std::to_string(manifest.layers.size()) +
                   " layers, the configuration " + std::to_string(checked.config.diff_ids.size()));
  checked.manifest = std::move(manifest);
  return checked;
}

// Puts the layer in its place unless it is there whole, and its blob. True: it was moved.
Result<bool> place_layer(const Places& places, state::Database& database, LayerDraft& draft,
                         int64_t now) {
  const LayerFacts& facts = *draft.facts();
  const Digest& diff_id = facts.diff_id;
  TRY(auto known, state::get_layer(database, diff_id.str()));
  bool keep = known && is_whole(places, diff_id);
  if (!known)
    TRY_VOID(state::insert_layer(database, {diff_id.str(), static_cast<int64_t>(draft.files_size()),
                                            static_cast<int64_t>(facts.tar_size), now}));
  if (facts.blob)
    TRY_VOID(place_blob(places, database, draft.incoming(), kDraftBlob, *facts.blob, diff_id, now));
  if (keep) return false;
  // Without a record it is what a dead writer left, else it is damaged: nothing vouches for it.
  if (sys::exists_at(places.layers.get(), diff_id.hex())) {
    TRY(Incoming trash, Incoming::create(places, database));
    TRY_VOID(trash.take_layer(diff_id));
  }
  TRY_VOID(draft.incoming().move_to_layers(diff_id));
  TRY_VOID(failpoint("store.layer.renamed"));
  return true;
}

// A layer of the manifest must be the one that the configuration has at its place, as far as
// somebody has unpacked it here.
Result<void> check_layers(state::Database& database, const Checked& image) {
  for (size_t i = 0; i < image.config.diff_ids.size(); ++i) {
    const Digest& diff_id = image.config.diff_ids[i];
    TRY(auto layer, state::get_layer(database, diff_id.str()));
    if (!layer) return absent(diff_id);
    if (!image.manifest) continue;
    const Digest& digest = image.manifest->layers[i].digest;
    TRY(auto blob, state::get_blob(database, digest.str()));
    if (blob && blob->diff_id != diff_id.str())
      return corrupt("the manifest's layer '" + digest.str() + "' unpacks to '" + blob->diff_id +
                     "', but the configuration has '" + diff_id.str() + "' at its place");
  }
  return {};
}

Result<Digest> record_image(state::Database& database, const NewImage& image,
                            const Checked& checked) {
  TRY_VOID(check_layers(database, checked));
  std::string manifest = image.manifest_json;
  if (manifest.empty()) {
    TRY(manifest, make_manifest(database, image.config_json, checked.config.diff_ids));
  }
  std::vector<std::string> diff_ids;
  for (const Digest& diff_id : checked.config.diff_ids) diff_ids.push_back(diff_id.str());
  const std::string id = checked.id.str();
  const state::ImageRow row{.id = id,
                            .manifest_digest = sys::sha256(manifest).str(),
                            .config = image.config_json,
                            .manifest = manifest,
                            .created_ns = checked.created_ns,
                            .made_here = image.manifest_json.empty()};
  TRY_VOID(state::insert_image(database, row, diff_ids));
  for (const oci::ImageRef& reference : image.references)
    TRY_VOID(set_tag(database, tag_key(reference), row));
  for (const ImageSource& source : image.sources)
    TRY_VOID(state::put_image_source(database, id, {source.repository, source.digest.str()}));
  return checked.id;
}

Result<void> seal_drafts(std::vector<LayerDraft>& layers) {
  for (LayerDraft& layer : layers) {
    if (!layer.facts()) return Error(ErrorKind::kInternal, "an unfinished layer was committed");
    TRY_VOID_CTX(layer.seal(), "cannot seal layer '" + layer.facts()->diff_id.str() + "'");
  }
  return {};
}

Result<void> sync_files(const Places& places) {
  {
    TraceScope trace("store.sync");
    TRY_VOID(sys::sync_filesystem(places.incoming.get()));
  }
  return failpoint("store.layer.synced");
}

// The layers of an image as they are before the transaction: those that come with it, else those
// that are here.
Result<std::vector<LayerFolder>> folders_of(const Places& places, const std::vector<Digest>& chain,
                                            const std::vector<LayerDraft>& drafts) {
  std::vector<LayerFolder> folders;
  for (const Digest& diff_id : chain) {
    auto draft = std::ranges::find_if(
        drafts, [&](const LayerDraft& each) { return each.facts()->diff_id == diff_id; });
    if (draft == drafts.end()) {
      Result<sys::Fd> folder = open_layer(places, diff_id);
      if (!folder && folder.error().kind() == ErrorKind::kNotFound) return absent(diff_id);
      if (!folder) return std::move(folder.error());
      folders.push_back({diff_id, std::move(*folder)});
    } else {
      TRY(sys::Fd folder, sys::open_at(draft->folder(), ".", O_RDONLY | O_DIRECTORY));
      folders.push_back({diff_id, std::move(folder)});
    }
  }
  return folders;
}

Result<void> place_layers(const Places& places, state::Database& database,
                          std::vector<LayerDraft>& layers, int64_t now) {
  bool moved = false;
  for (LayerDraft& layer : layers) {
    TRY(bool placed, place_layer(places, database, layer, now));
    moved = moved || placed;
  }
  if (moved) TRY_VOID(sys::sync_dir(places.layers.get()));
  if (!layers.empty()) TRY_VOID(sys::sync_dir(places.blobs.get()));
  return {};
}

// Those of which every layer comes just now.
std::vector<std::string> proven_trees(const std::vector<Checked>& images,
                                      const std::vector<NewTree>& trees,
                                      const std::vector<LayerDraft>& drafts) {
  std::vector<std::string> proven;
  for (size_t i = 0; i < images.size(); ++i) {
    bool all = std::ranges::all_of(images[i].config.diff_ids, [&](const Digest& diff_id) {
      return std::ranges::any_of(
          drafts, [&](const LayerDraft& draft) { return draft.facts()->diff_id == diff_id; });
    });
    if (all && !trees[i].row().tree.empty()) proven.push_back(trees[i].row().tree);
  }
  return proven;
}

}  // namespace

Result<void> place_blob(const Places& places, state::Database& database, Incoming& incoming,
                        const char* name, const Blob& blob, const Digest& diff_id, int64_t now) {
  TRY(auto known, state::get_blob(database, blob.digest.str()));
  if (known && sys::exists_at(places.blobs.get(), blob.digest.hex())) return {};
  TRY_VOID(incoming.move_to_blobs(name, blob.digest));
  return state::insert_blob(database, {blob.digest.str(), diff_id.str(),
                                       static_cast<int64_t>(blob.size), blob.media_type, now});
}

Result<std::vector<Digest>> commit_images(Store::State& state, std::vector<LayerDraft> layers,
                                          std::span<const NewImage> images,
                                          const std::function<Result<void>()>& within) {
  TraceScope trace("store.commit");
  state::Database& database = state.database;
  const Places& places = state.places;
  const int64_t now = wall_clock_ns();
  std::vector<Checked> checked;
  for (const NewImage& image : images) {
    TRY(Checked one, check(image, now));
    checked.push_back(std::move(one));
  }
  TRY(auto objects, state.hold_objects());
  TRY_VOID(seal_drafts(layers));
  std::vector<NewTree> trees;
  for (const Checked& image : checked) {
    TRY(auto folders, folders_of(places, image.config.diff_ids, layers));
    TRY(NewTree tree, NewTree::make(state, folders));
    trees.push_back(std::move(tree));
  }
  std::vector<std::string> proven = proven_trees(checked, trees, layers);
  for (const LayerDraft& layer : layers) proven.push_back(layer.facts()->diff_id.str());
  if (!layers.empty() || !trees.empty()) TRY_VOID(sync_files(places));
  std::vector<Digest> ids;
  {
    TRY(auto transaction, database.begin());
    TRY_VOID(place_layers(places, database, layers, now));
    for (NewTree& tree : trees) TRY_VOID(tree.place(state));
    for (size_t i = 0; i < images.size(); ++i) {
      TRY(Digest id, record_image(database, images[i], checked[i]));
      ids.push_back(std::move(id));
    }
    if (within) TRY_VOID(within());
    TRY_VOID(failpoint("store.image.before"));
    TRY_VOID(transaction.commit());
  }
  for (const std::string& digest : proven) note_looked(state, digest);
  TRY_VOID(failpoint("store.image.after"));
  return ids;
}

Result<std::optional<Image>> Store::commit(std::vector<LayerDraft> layers,
                                           const std::optional<NewImage>& image,
                                           const std::function<Result<void>()>& within) {
  std::span<const NewImage> images;
  if (image) images = {&*image, 1};
  TRY(std::vector<Digest> ids, commit_images(*state_, std::move(layers), images, within));
  if (ids.empty()) return std::optional<Image>();
  TRY(Image made, find(ids.front().str()));
  return std::optional<Image>(std::move(made));
}

}  // namespace wherry::store
