// Store::remove: Docker's rmi. First the records in one transaction, then the files: a death
// between the two leaves layers that a sweep finds through the list in incoming/.
#include <algorithm>
#include <iterator>

#include "base/failpoint.h"
#include "base/text.h"
#include "state/blobs.h"
#include "store/snapshot.h"
#include "store/store_state.h"

namespace wherry::store {
namespace {

using Users = std::vector<std::pair<std::string, std::string>>;

std::string short_id(std::string_view id) {
  if (id.starts_with("sha256:")) id.remove_prefix(7);
  return std::string(id.substr(0, 12));
}

std::string repository_of(const std::string& tag) {
  return tag.substr(0, tag.rfind(':'));
}

std::string familiar(const std::string& tag) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(tag);
  return reference ? reference->familiar() : tag;
}

// The container that uses the image; empty when none does.
std::string user_of(const Users& in_use, const std::string& image_id) {
  auto found = std::ranges::find(in_use, image_id, &Users::value_type::first);
  return found == in_use.end() ? std::string() : found->second;
}

struct Plan {
  std::vector<std::string> untag;  // store keys
  bool delete_image = false;
};

// Which of the image's tags a reference names: one, or with a digest all of its repository.
std::vector<std::string> named_tags(std::string_view name, const std::vector<std::string>& tags) {
  std::vector<std::string> named;
  Result<oci::ImageRef> reference = oci::ImageRef::parse(name);
  if (!reference) return named;
  for (const std::string& tag : tags)
    if (reference->digest() ? repository_of(tag) == reference->repository()
                            : tag == tag_key(*reference))
      named.push_back(tag);
  return named;
}

Result<Plan> plan_by_reference(std::string_view name, const std::string& image_id,
                               const std::vector<std::string>& tags, bool force,
                               const std::string& container) {
  Plan plan;
  plan.untag = named_tags(name, tags);
  bool last = plan.untag.size() == tags.size();
  if (last && !container.empty() && !force)
    return Error(ErrorKind::kConflict, "conflict: unable to remove repository reference \"" +
                                           std::string(name) + "\" (must force) - container " +
                                           short_id(container) + " is using its referenced image " +
                                           short_id(image_id));
  // Forced, a used image loses its name but stays: the container's files are its layers.
  plan.delete_image = last && container.empty();
  return plan;
}

Result<Plan> plan_by_id(const std::string& image_id, const std::vector<std::string>& tags,
                        bool force, const std::string& container) {
  std::string unable = "conflict: unable to delete " + short_id(image_id);
  bool many = std::ranges::any_of(tags, [&](const std::string& tag) {
    return repository_of(tag) != repository_of(tags.front());
  });
  if (many && !force)
    return Error(ErrorKind::kConflict,
                 unable + " (must be forced) - image is referenced in multiple repositories");
  if (!container.empty())
    return Error(
        ErrorKind::kConflict,
        unable + " (cannot be forced) - image is being used by container " + short_id(container));
  return Plan{tags, true};
}

// An image or a cached step has the layer, or a lease holds it.
Result<bool> in_use(state::Database& database, const std::string& diff_id,
                    const std::set<std::string>& leased) {
  if (leased.contains(diff_id.substr(diff_id.find(':') + 1))) return true;
  return state::layer_in_use(database, diff_id);
}

struct Unused {
  Moves moves;
  std::vector<std::string> snapshots;  // hex digests
  uint64_t bytes = 0;                  // of blobs; those of objects are known when they go
};

// Deletes a layer's rows; its files are to be moved away.
Result<void> forget_layer(state::Database& database, const state::LayerRow& layer, Unused& unused) {
  TRY_CTX(Digest diff_id, Digest::parse(layer.diff_id), "damaged state");
  // One that an image has twice.
  if (std::ranges::find(unused.moves.layers, diff_id) != unused.moves.layers.end()) return {};
  TRY(std::vector<state::BlobRow> blobs, state::blobs_of(database, layer.diff_id));
  for (const state::BlobRow& blob : blobs) {
    TRY_CTX(Digest digest, Digest::parse(blob.digest), "damaged state");
    unused.moves.blobs.push_back(std::move(digest));
    unused.bytes += static_cast<uint64_t>(blob.size);
  }
  TRY_VOID(state::delete_layer(database, layer.diff_id));
  unused.moves.layers.push_back(std::move(diff_id));
  return {};
}

// After its layers: chains that nobody can mount any more.
Result<void> forget_snapshots(state::Database& database, Unused& unused) {
  TRY(std::vector<std::string> gone, forget_trees(database, unused.moves.layers));
  std::ranges::move(gone, std::back_inserter(unused.snapshots));
  return {};
}

// A layer that stays keeps the blobs that a manifest names, and one in any case.
Result<void> forget_blobs(state::Database& database, const std::string& diff_id, Unused& unused) {
  TRY(std::vector<state::BlobRow> blobs, state::blobs_of(database, diff_id));
  if (blobs.size() < 2) return {};
  TRY(std::vector<std::string> manifests, state::manifests_with(database, diff_id));
  size_t left = blobs.size();
  // The oldest first.
  for (auto blob = blobs.rbegin(); blob != blobs.rend() && left > 1; ++blob) {
    bool named = std::ranges::any_of(manifests, [&](const std::string& manifest) {
      return manifest.find(blob->digest) != std::string::npos;
    });
    if (named) continue;
    TRY_CTX(Digest digest, Digest::parse(blob->digest), "damaged state");
    TRY_VOID(state::delete_blob(database, blob->digest));
    unused.moves.blobs.push_back(std::move(digest));
    unused.bytes += static_cast<uint64_t>(blob->size);
    --left;
  }
  return {};
}

// Deletes the image's rows and those of layers that nobody has any more, topmost first.
Result<Unused> forget_image(state::Database& database, const std::string& image_id,
                            const std::set<std::string>& leased) {
  TRY(std::vector<state::LayerRow> layers, state::layers_of(database, image_id));
  TRY_VOID(state::delete_image(database, image_id));
  Unused unused;
  // A build that stands on the layers may have them mounted.
  const bool held = std::ranges::any_of(layers, [&](const state::LayerRow& layer) {
    return leased.contains(layer.diff_id.substr(layer.diff_id.find(':') + 1));
  });
  if (!held) {
    TRY(unused.snapshots, forget_tree_of(database, layers));
  }
  for (auto layer = layers.rbegin(); layer != layers.rend(); ++layer) {
    TRY(bool needed, in_use(database, layer->diff_id, leased));
    TRY_VOID(needed ? forget_blobs(database, layer->diff_id, unused)
                    : forget_layer(database, *layer, unused));
  }
  TRY_VOID(forget_snapshots(database, unused));
  return unused;
}

// Lists what is going, before the transaction ends.
Result<void> announce(Incoming& trash, const Unused& unused) {
  Moves moves = unused.moves;
  for (const std::string& base : unused.snapshots)
    if (Result<Digest> tree = Digest::from_hex(base)) moves.trees.push_back(std::move(*tree));
  return trash.list(moves, /*sync=*/true);
}

Result<void> take(Incoming& trash, const Unused& unused, Store::Removed& removed) {
  for (const Digest& diff_id : unused.moves.layers) removed.deleted.push_back(diff_id.str());
  removed.bytes += unused.bytes;
  return announce(trash, unused);
}

}  // namespace

Result<void> forget_unneeded_layers(const Places& places, state::Database& database,
                                    const std::vector<Digest>& layers, const std::string& except) {
  bool any = false;
  for (const Digest& diff_id : layers) {
    TRY(auto row, state::get_layer(database, diff_id.str()));
    TRY(bool needed, state::layer_in_use(database, diff_id.str()));
    any = any || (row && !needed);
  }
  if (!any) return {};
  TRY(Incoming trash, Incoming::create(places, database));
  TRY(auto transaction, database.begin());
  TRY(std::set<std::string> leased, leased_layers(places, except));
  Unused unused;
  for (const Digest& diff_id : layers) {
    TRY(auto row, state::get_layer(database, diff_id.str()));
    TRY(bool needed, in_use(database, diff_id.str(), leased));
    if (row && !needed) TRY_VOID(forget_layer(database, *row, unused));
  }
  TRY_VOID(forget_snapshots(database, unused));
  TRY_VOID(announce(trash, unused));
  TRY_VOID(failpoint("store.lease.before"));
  TRY_VOID(transaction.commit());
  take_snapshots(places, trash.directory(), unused.snapshots);
  return failpoint("store.lease.recorded");
}

Result<Store::Removed> Store::remove(std::string_view name_or_id, bool force, const Users& in_use) {
  state::Database& database = state_->database;
  // Made before the transaction, so that its destructor, which may need one of its own, runs after
  // it.
  TRY(Incoming trash, Incoming::create(state_->places, database));
  TRY(auto transaction, database.begin());
  TRY(FoundImage found, find_image(database, name_or_id));
  const std::string& id = found.row.id;
  TRY(std::vector<std::string> tags, state::tags_of(database, id));
  std::string container = user_of(in_use, id);
  TRY(Plan plan, found.by_id ? plan_by_id(id, tags, force, container)
                             : plan_by_reference(name_or_id, id, tags, force, container));
  Removed removed;
  std::vector<std::string> snapshots;
  for (const std::string& tag : plan.untag) {
    TRY_VOID(state::delete_tag(database, tag));
    removed.untagged.push_back(familiar(tag));
  }
  if (plan.delete_image) {
    TRY(std::set<std::string> leased, leased_layers(state_->places));
    TRY(Unused unused, forget_image(database, id, leased));
    removed.deleted.push_back(id);
    TRY_VOID(take(trash, unused, removed));
    snapshots = std::move(unused.snapshots);
  }
  TRY_VOID(failpoint("store.remove.before"));
  TRY_VOID(transaction.commit());
  TRY_VOID(failpoint("store.remove.recorded"));
  take_snapshots(state_->places, trash.directory(), snapshots);
  // What is listed and has no record now goes. The image is removed even if its files wait.
  if (Result<uint64_t> objects = trash.dispose()) removed.bytes += *objects;
  return removed;
}

Result<uint64_t> Store::prune_layers(const std::function<Result<void>()>& within) {
  state::Database& database = state_->database;
  TRY(Incoming trash, Incoming::create(state_->places, database));
  TRY(auto transaction, database.begin());
  TRY_VOID(within());
  TRY(std::vector<state::LayerRow> layers, state::unused_layers(database));
  TRY(std::set<std::string> leased, leased_layers(state_->places));
  Unused unused;
  for (const state::LayerRow& layer : layers) {
    TRY(bool needed, in_use(database, layer.diff_id, leased));
    if (!needed) TRY_VOID(forget_layer(database, layer, unused));
  }
  TRY_VOID(forget_snapshots(database, unused));
  TRY_VOID(announce(trash, unused));
  TRY_VOID(failpoint("store.prune.before"));
  TRY_VOID(transaction.commit());
  TRY_VOID(failpoint("store.prune.recorded"));
  take_snapshots(state_->places, trash.directory(), unused.snapshots);
  Result<uint64_t> objects = trash.dispose();
  if (!objects && objects.error().kind() != ErrorKind::kUnavailable)
    return std::move(objects.error());
  return unused.bytes + objects.value_or(0);
}

}  // namespace wherry::store
