// Store::fsck: everything that the store has acknowledged, looked at or read again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "state/blobs.h"
#include "state/trees.h"
#include "store/look.h"
#include "store/snapshot.h"
#include "store/snapshot_look.h"
#include "store/store_state.h"
#include "store/tree_file.h"
#include "sys/file.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

std::string hex_of(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

std::string name_of(const std::string& tag) {
  Result<oci::ImageRef> reference = oci::ImageRef::parse(tag);
  return reference ? reference->familiar() : tag;
}

// An object as the layers together name it.
struct Named {
  ObjectRef ref;
  timespec known_until{};  // the latest that a layer knows
  ObjectState state = ObjectState::kWhole;
};

struct CheckedLayer {
  Digest diff_id;
  sys::Fd folder;
  std::vector<ObjectRef> objects;
};

class Fsck {
 public:
  Fsck(Store::State& state, const FsckOptions& options) : state_(state), options_(options) {}

  Result<FsckReport> run() {
    TRY(auto held, state_.hold_objects());
    TRY_VOID(check_images());
    TRY_VOID(check_layers());
    TRY_VOID(check_objects());
    TRY_VOID(check_recipes());
    TRY_VOID(check_blobs());
    TRY_VOID(check_snapshots());
    for (const auto& [id, name] : damaged_) report_.damaged.push_back(name);
    // What was looked at before may be damaged since.
    if (!report_.problems.empty()) forget_looks(state_);
    return std::move(report_);
  }

 private:
  const Places& places() const { return state_.places; }
  void problem(const std::string& what) { report_.problems.push_back(what); }
  template <typename Work>
  Result<void> repair(const std::string& what, Work work) {
    if (!options_.repair) return {};
    TRY_VOID(failpoint("store.repair.begin"));
    TRY_VOID(work());
    report_.repairs.push_back(what);
    return failpoint("store.repair.done");
  }
  void damage_users(const std::string& diff_id) {
    for (const std::string& image : users_[diff_id]) damaged_[image] = names_[image];
  }
  // "; images: web:1, app:2".
  std::string users_of(const std::string& diff_id) {
    std::vector<std::string> names;
    for (const std::string& image : users_[diff_id]) names.push_back(names_[image]);
    std::ranges::sort(names);
    names.erase(std::ranges::unique(names).begin(), names.end());
    if (names.empty()) return "; the build cache has it";
    return (names.size() == 1 ? "; image: " : "; images: ") + join(names, ", ");
  }

  Result<void> check_images() {
    TRY(std::vector<state::ImageRow> images, state::list_images(state_.database));
    for (const state::ImageRow& image : images) {
      ++report_.images;
      TRY(std::vector<std::string> tags, state::tags_of(state_.database, image.id));
      const std::string& name = names_[image.id] = tags.empty() ? image.id : name_of(tags.front());
      const bool config = sys::sha256(image.config).str() == image.id;
      const bool manifest = sys::sha256(image.manifest).str() == image.manifest_digest;
      if (!config) problem("image '" + name + "': its configuration has another digest");
      if (!manifest) problem("image '" + name + "': its manifest has another digest");
      if (!config || !manifest) damaged_[image.id] = name;
      TRY(std::vector<state::LayerRow> layers, state::layers_of(state_.database, image.id));
      for (const state::LayerRow& layer : layers) users_[layer.diff_id].push_back(image.id);
    }
    return {};
  }

  Result<void> check_layers() {
    TRY(std::vector<state::LayerRow> layers, state::list_layers(state_.database));
    for (const state::LayerRow& layer : layers) {
      ++report_.layers;
      TRY_CTX(Digest diff_id, Digest::parse(layer.diff_id), "damaged state");
      if (Result<void> whole = check_layer(diff_id); !whole)
        TRY_VOID(bad_layer(diff_id, whole.error()));
    }
    return {};
  }

  Result<void> bad_layer(const Digest& diff_id, const Error& error) {
    if (error.kind() != ErrorKind::kCorrupt && error.errnum() != ENOENT &&
        error.kind() != ErrorKind::kNotFound)
      return error;
    problem("layer '" + diff_id.str() + "': " + error.message() + users_of(diff_id.str()));
    damage_users(diff_id.str());
    return repair("took layer '" + diff_id.str() + "' away", [&]() -> Result<void> {
      TRY(Incoming trash, Incoming::create(places(), state_.database));
      return trash.take_layer(diff_id);
    });
  }

  // The record proves itself; the index must be what the record says.
  Result<void> check_layer(const Digest& diff_id) {
    TRY(sys::Fd folder, open_layer(places(), diff_id));
    TRY(LayerContents contents, read_layer(folder.get()));
    TRY([[maybe_unused]] MappedFile recipe, MappedFile::open(folder.get(), kRecipe));
    TRY_VOID(check_index(diff_id, folder.get(), contents.objects));
    timespec known_until{};
    if (Result<ObjectIndex> index = ObjectIndex::open(folder.get()))
      known_until = index->known_until();
    for (const ObjectRef& ref : contents.objects) named_.push_back({ref, known_until});
    layers_.push_back({diff_id, std::move(folder), std::move(contents.objects)});
    return {};
  }

  // One that lies is made again from the record; until somebody has read the objects it knows
  // nothing of them.
  Result<void> check_index(const Digest& diff_id, int folder, const std::vector<ObjectRef>& refs) {
    Result<ObjectIndex> index = ObjectIndex::open(folder);
    if (index && std::ranges::equal(refs, index->refs())) return {};
    problem("layer '" + diff_id.str() + "': its index does not belong to its record" +
            users_of(diff_id.str()) + "; 'wherry fsck --repair' makes it again");
    return repair("made the index of layer '" + diff_id.str() + "' again",
                  [&] { return rewrite_object_index(folder, refs); });
  }

  Result<void> check_objects() {
    merge_named();
    std::vector<ObjectRef> bad;
    for (Named& named : named_) {
      ++report_.objects;
      named.state = look_at_object(places().objects.get(), named.ref);
      const bool read =
          named.state == ObjectState::kWhole &&
          (!options_.quick || !is_untouched(places().objects.get(), named.ref, named.known_until));
      if (read) {
        TRY(named.state, read_object(places().objects.get(), named.ref));
        report_.bytes += named.ref.size;
      }
      if (named.state != ObjectState::kWhole) bad.push_back(named.ref);
    }
    if (bad.empty()) return {};
    TRY_VOID(tell_objects(bad));
    return remove_damaged();
  }

  // Each object once, with the latest that a layer knows.
  void merge_named() {
    std::ranges::sort(named_, {}, &Named::ref);
    size_t last = 0;
    for (size_t i = 1; i < named_.size(); ++i) {
      if (named_[i].ref != named_[last].ref) {
        named_[++last] = named_[i];
        continue;
      }
      timespec& known = named_[last].known_until;
      const timespec& other = named_[i].known_until;
      if (std::pair(known.tv_sec, known.tv_nsec) < std::pair(other.tv_sec, other.tv_nsec))
        known = other;
    }
    if (!named_.empty()) named_.resize(last + 1);
  }

  // One line for each object, with a name that it has in the first layer that names it.
  Result<void> tell_objects(const std::vector<ObjectRef>& bad) {
    std::set<tree::ObjectId> told;
    for (CheckedLayer& layer : layers_) {
      std::vector<ObjectRef> here;
      std::ranges::set_intersection(bad, layer.objects, std::back_inserter(here));
      if (here.empty()) continue;
      layer_is_bad_.insert(layer.diff_id.str());
      damage_users(layer.diff_id.str());
      TRY(std::vector<std::string> paths, paths_of(layer.folder.get(), here));
      for (size_t i = 0; i < here.size(); ++i) {
        if (!told.insert(here[i].id).second) continue;
        auto named = std::ranges::lower_bound(named_, here[i], {}, &Named::ref);
        problem("object '" + object_hex(here[i].id) + "' is " +
                (named->state == ObjectState::kMissing ? "missing" : "damaged") + ": it is " +
                paths[i] + " of layer '" + layer.diff_id.str() + "'" +
                users_of(layer.diff_id.str()));
      }
    }
    return {};
  }

  Result<void> remove_damaged() {
    for (const Named& named : named_) {
      if (named.state != ObjectState::kDamaged) continue;
      const std::string hex = object_hex(named.ref.id);
      TRY_VOID(repair("took object '" + hex + "' away",
                      [&] { return remove_objects(places(), {named.ref}); }));
    }
    return {};
  }

  // By making the tar again: it proves every byte of the layer. Quickly: only one that was touched.
  Result<void> check_recipes() {
    for (const CheckedLayer& layer : layers_) {
      if (layer_is_bad_.contains(layer.diff_id.str())) continue;
      const int folder = layer.folder.get();
      // Without its index nothing is known of it.
      if (options_.quick && !is_recipe_touched(folder).value_or(true)) continue;
      Result<void> right = prove_recipe(places(), layer.diff_id, folder);
      if (!right) {
        TRY_VOID(bad_layer(layer.diff_id, right.error()));
        continue;
      }
      if (!options_.quick) [[maybe_unused]]
        Result<void> else_read_again = note_proven(places(), folder);
    }
    return {};
  }

  Result<bool> is_whole_blob(const state::BlobRow& blob) {
    struct stat info{};
    const std::string name = hex_of(blob.digest);
    if (fstatat(places().blobs.get(), name.c_str(), &info, AT_SYMLINK_NOFOLLOW) != 0 ||
        !S_ISREG(info.st_mode) || info.st_size != blob.size)
      return false;
    if (options_.quick) return true;
    TRY(sys::Fd file, sys::open_at(places().blobs.get(), name, O_RDONLY | O_NOFOLLOW));
    TRY(std::string found, file_digest(file.get()));
    report_.bytes += static_cast<uint64_t>(blob.size);
    return found == name;
  }

  Result<void> check_blobs() {
    TRY(std::vector<state::BlobRow> blobs, state::list_blobs(state_.database));
    for (const state::BlobRow& blob : blobs) {
      ++report_.blobs;
      TRY(bool whole, is_whole_blob(blob));
      if (whole) continue;
      problem("blob '" + blob.digest + "' is missing or damaged: it is layer '" + blob.diff_id +
              "' as it travels" + users_of(blob.diff_id));
      damage_users(blob.diff_id);
      // The layer itself is not touched: its tar is made again from its recipe.
      TRY_VOID(repair("took blob '" + blob.digest + "' away", [&]() -> Result<void> {
        TRY(auto transaction, state_.database.begin());
        TRY_VOID(state::delete_blob(state_.database, blob.digest));
        TRY_VOID(transaction.commit());
        unlinkat(places().blobs.get(), hex_of(blob.digest).c_str(), 0);
        return {};
      }));
    }
    return {};
  }

  Result<void> check_snapshots() {
    TRY(std::vector<state::TreeRow> rows, state::list_trees(state_.database));
    std::set<std::string> seen;
    for (const state::TreeRow& row : rows)
      for (Rung rung : {Rung::kErofs, Rung::kFarm, Rung::kReflink, Rung::kLayers}) {
        const std::vector<std::string> names = snapshot_names(rung, row);
        for (size_t i = 0; i < names.size(); ++i) {
          const std::string& name = names[names.size() - 1 - i];
          if (seen.contains(name) || !sys::exists_at(places().trees.get(), name)) continue;
          TRY(const bool checked, rung == Rung::kErofs ? check_image_file(row, name)
                                                       : check_checkout(rung, row, i, name));
          if (!checked) continue;
          seen.insert(name);
          ++report_.snapshots;
        }
      }
    return {};
  }

  // It is what its layers' records make of it, bit for bit. False: without its layers it cannot be
  // compared, and what is wrong with them was said.
  Result<bool> check_image_file(const state::TreeRow& row, const std::string& name) {
    const bool sealed = is_sealed_snapshot(places(), name);
    Result<bool> same = sealed && !options_.quick ? is_whole_snapshot(state_, row) : sealed;
    if (!same) return false;
    if (*same) return true;
    bad_snapshot(row, name, "is damaged");
    TRY_VOID(
        repair("made snapshot '" + name + "' again", [&] { return remake_snapshot(state_, row); }));
    return true;
  }

  // False as well when it is gone by now.
  Result<bool> check_checkout(Rung rung, const state::TreeRow& row, size_t index,
                              const std::string& name) {
    Result<CheckoutState> found =
        store::check_checkout(state_, rung, row, index, /*read_all=*/!options_.quick);
    if (!found && is_of_layers(found.error())) return false;
    if (!found) return std::move(found.error());
    report_.bytes += found->bytes;
    if (found->count == 0) return true;
    constexpr size_t kTold = 3;
    const size_t told = std::min(kTold, found->problems.size());
    std::string how = "is damaged: " + join(std::span(found->problems).first(told), ", ");
    if (found->count > told) how += " and " + std::to_string(found->count - told) + " more";
    bad_snapshot(row, name, how);
    TRY_VOID(repair("set snapshot '" + name + "' aside",
                    [&] { return set_aside(state_, name, found->inode); }));
    TRY(const Rung ours, state_.rung());
    if (ours != rung) return true;
    Result<void> made = repair("made snapshot '" + name + "' again",
                               [&] { return make_missing_snapshot(state_, row); });
    // The next load or pull brings what is missing for it.
    if (!made && !is_of_layers(made.error())) return std::move(made.error());
    return true;
  }

  static bool is_of_layers(const Error& error) {
    return error.kind() == ErrorKind::kCorrupt || error.kind() == ErrorKind::kNotFound;
  }

  void bad_snapshot(const state::TreeRow& row, const std::string& name, const std::string& how) {
    problem("snapshot '" + name + "' " + how +
            (row.layers.empty() ? "" : users_of(row.layers.back())) +
            "; it is made again by the next start, or by 'wherry fsck --repair'");
  }

  Store::State& state_;
  FsckOptions options_;
  FsckReport report_;
  std::map<std::string, std::string> names_;               // of images, by id
  std::map<std::string, std::vector<std::string>> users_;  // images of layers
  std::vector<CheckedLayer> layers_;                       // whose records are right
  std::vector<Named> named_;
  std::set<std::string> layer_is_bad_;
  std::map<std::string, std::string> damaged_;  // id to name
};

}  // namespace

Result<FsckReport> Store::fsck(const FsckOptions& options) {
  TraceScope trace("store.fsck");
  TRY_VOID(sweep());
  return Fsck(*state_, options).run();
}

}  // namespace wherry::store
