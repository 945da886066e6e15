// Store::collect: what nobody needs goes, and what can be had again as far as the budget asks.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "state/blobs.h"
#include "state/build_steps.h"
#include "state/trees.h"
#include "store/explain.h"
#include "store/farm.h"
#include "store/objects.h"
#include "store/snapshot.h"
#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

std::string hex_of(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

uint64_t size_at(int dir, const std::string& name) {
  struct stat info{};
  return fstatat(dir, name.c_str(), &info, AT_SYMLINK_NOFOLLOW) == 0 && S_ISREG(info.st_mode)
             ? static_cast<uint64_t>(info.st_size)
             : 0;
}

// Bytes of a layer's own files.
uint64_t folder_size(int layers, const std::string& name) {
  uint64_t bytes = 0;
  for (const char* file : {kRecord, kRecipe, kIndexFile})
    bytes += size_at(layers, name + "/" + file);
  return bytes;
}

class Collection {
 public:
  Collection(Store::State& state, const CollectOptions& options)
      : state_(state), options_(options) {}

  // Under the objects' lock, exclusively, and the writers'.
  Result<void> plan() {
    TRY(leased_, leased_layers(state_.places));
    TRY_VOID(plan_layers());
    TRY_VOID(plan_snapshots());
    TRY_VOID(plan_blobs());
    TRY_VOID(plan_objects());
    return plan_budget();
  }
  Result<void> forget() {
    for (const std::string& diff_id : layers_)
      TRY_VOID(state::delete_layer(state_.database, diff_id));
    for (const std::string& chain : chains_) TRY_VOID(state::delete_tree(state_.database, chain));
    for (const std::string& blob : blobs_) TRY_VOID(state::delete_blob(state_.database, blob));
    return {};
  }
  // After the locks.
  Result<void> tell_objects() {
    if (!options_.object) return {};
    if (options_.dry_run && options_.every_object)
      return explain(state_, {kept_objects_, objects_, kept_layers_, folders_}, options_.object);
    for (const ObjectRef& ref : objects_)
      TRY_VOID(options_.object(
          {true, "object sha256:" + object_hex(ref.id), ref.size, "no layer names it"}));
    return {};
  }
  Result<void> remove() {
    for (const std::string& name : folders_)
      TRY_VOID(sys::remove_tree_at(state_.places.layers.get(), name));
    for (const std::string& name : files_) unlinkat(state_.places.blobs.get(), name.c_str(), 0);
    TRY(Incoming trash, Incoming::create(state_.places, state_.database));
    take_snapshots(state_.places, trash.directory(), snapshots_);
    TRY_VOID(remove_objects(state_.places, objects_));
    TRY([[maybe_unused]] FarmSwept swept, sweep_farm(state_.places.root));
    return {};
  }
  Collected take() && { return std::move(report_); }

 private:
  const Places& places() const { return state_.places; }
  void free(const std::string& what, uint64_t bytes, const std::string& why) {
    report_.freed.push_back({what, bytes, why});
    report_.bytes += bytes;
  }
  void keep(const std::string& what, uint64_t bytes, const std::string& why) {
    report_.kept.push_back({what, bytes, why});
    report_.total += bytes;
  }

  Result<std::string> why_kept(const std::string& diff_id) {
    if (leased_.contains(hex_of(diff_id))) return std::string("a build stands on it");
    TRY(int64_t images, state::layer_users(state_.database, diff_id));
    if (images == 1) return std::string("an image has it");
    if (images > 1) return std::to_string(images) + " images have it";
    return std::string("the build cache has it");
  }

  Result<void> plan_layers() {
    TRY(std::vector<std::string> folders, sys::list_dir(places().layers.get()));
    for (const std::string& name : folders) {
      const std::string diff_id = "sha256:" + name;
      const std::string what = "layer " + diff_id;
      const uint64_t bytes = folder_size(places().layers.get(), name);
      TRY(auto row, state::get_layer(state_.database, diff_id));
      TRY(bool needed, state::layer_in_use(state_.database, diff_id));
      if (row && (needed || leased_.contains(name))) {
        kept_layers_.push_back(name);
        TRY(std::string why, why_kept(diff_id));
        keep(what, bytes, why);
        continue;
      }
      if (row) layers_.push_back(diff_id);
      folders_.push_back(name);
      free(what, bytes, row ? "no image and no cached step has it" : "no record knows it");
    }
    return {};
  }

  Result<void> plan_snapshots() {
    std::set<std::string> gone(layers_.begin(), layers_.end());
    std::set<std::string> named;
    TRY(std::vector<state::TreeRow> rows, state::list_trees(state_.database));
    for (const state::TreeRow& row : rows) {
      bool dead = std::ranges::any_of(row.layers, [&](auto& each) { return gone.contains(each); });
      if (dead) chains_.push_back(row.chain);
      if (dead) continue;
      for (std::string& base : snapshot_bases(row)) named.insert(std::move(base));
    }
    TRY(std::vector<std::string> files, sys::list_dir(places().trees.get()));
    for (const std::string& name : files) {
      const uint64_t bytes = size_at(places().trees.get(), name);
      if (named.contains(snapshot_base(name))) {
        report_.total += bytes;
        continue;
      }
      snapshots_.push_back(snapshot_base(name));
      free("snapshot " + name, bytes, "no chain of layers that is here looks like it");
    }
    return {};
  }

  Result<void> plan_blobs() {
    std::set<std::string> gone(layers_.begin(), layers_.end());
    TRY(std::vector<std::string> files, sys::list_dir(places().blobs.get()));
    for (const std::string& name : files) {
      const uint64_t bytes = size_at(places().blobs.get(), name);
      TRY(auto row, state::get_blob(state_.database, "sha256:" + name));
      if (row && !gone.contains(row->diff_id)) {
        TRY(std::vector<std::string> sources, state::blob_sources(state_.database, row->digest));
        kept_blobs_.push_back({*row, !sources.empty()});
        report_.total += bytes;
        continue;
      }
      files_.push_back(name);
      free("blob sha256:" + name, bytes, row ? "its layer goes" : "no record knows it");
    }
    return {};
  }

  // What none of the layers that stay names.
  Result<void> plan_objects() {
    TRY(std::vector<ObjectRef> all, list_objects(places()));
    std::vector<ObjectRef> unnamed = all;
    for (const std::string& name : kept_layers_) {
      TRY(sys::Fd layer, sys::open_at(places().layers.get(), name, O_RDONLY | O_DIRECTORY));
      TRY_CTX(ObjectIndex index, ObjectIndex::open(layer.get()), "layer 'sha256:" + name + "'");
      unnamed = without(std::move(unnamed), index.refs());
    }
    for (const ObjectRef& ref : all) report_.total += ref.size;
    for (const ObjectRef& ref : unnamed) {
      report_.total -= ref.size;
      report_.bytes += ref.size;
    }
    report_.objects = unnamed.size();
    if (options_.dry_run && options_.every_object) kept_objects_ = without(std::move(all), unnamed);
    objects_ = std::move(unnamed);
    return {};
  }

  // Blobs are made or fetched again when somebody asks for them: those that a registry has go
  // first, of them the largest; then those that are ours to make.
  Result<void> plan_budget() {
    auto rank = [](const KeptBlob& blob) {
      return std::tuple(!blob.elsewhere, -blob.row.size, blob.row.digest);
    };
    std::ranges::sort(kept_blobs_, {}, rank);
    for (const KeptBlob& blob : kept_blobs_) {
      const auto size = static_cast<uint64_t>(blob.row.size);
      const std::string what = "blob " + blob.row.digest;
      TRY(bool ours, made_here(blob.row));
      const bool over = options_.budget != 0 && report_.total > options_.budget;
      if (over && (blob.elsewhere || ours)) {
        blobs_.push_back(blob.row.digest);
        files_.push_back(hex_of(blob.row.digest));
        free(what, size,
             blob.elsewhere ? "over the budget; a registry has it"
                            : "over the budget; it can be packed again");
        report_.total -= size;
        continue;
      }
      report_.kept.push_back({what, size,
                              blob.elsewhere ? "saves fetching it again"
                              : ours         ? "saves packing it again"
                                             : "a manifest names it, and no registry is known "
                                               "that has it"});
    }
    return {};
  }

  // No manifest that came from elsewhere names it.
  Result<bool> made_here(const state::BlobRow& blob) {
    TRY(std::vector<std::string> manifests,
        state::foreign_manifests_with(state_.database, blob.diff_id));
    return std::ranges::none_of(manifests, [&](const std::string& manifest) {
      return manifest.find(blob.digest) != std::string::npos;
    });
  }

  struct KeptBlob {
    state::BlobRow row;
    bool elsewhere = false;  // a registry is known that has it
  };
  Store::State& state_;
  CollectOptions options_;
  Collected report_;
  std::set<std::string> leased_;
  std::vector<std::string> layers_, chains_, blobs_;      // rows that go
  std::vector<std::string> folders_, files_, snapshots_;  // names that go
  std::vector<ObjectRef> objects_;                        // that go
  std::vector<ObjectRef> kept_objects_;                   // when they are to be told
  std::vector<std::string> kept_layers_;
  std::vector<KeptBlob> kept_blobs_;
};

}  // namespace

Result<Collected> Store::collect(const CollectOptions& options) {
  TraceScope trace("store.collect");
  TRY_VOID(sweep());
  TRY(sys::Fd root, sys::open_file(state_->places.root, O_RDONLY | O_DIRECTORY));
  TRY(auto lock,
      sys::FileLock::try_acquire(root.get(), kObjectsLock, sys::FileLock::Mode::kExclusive));
  if (!lock)
    return Error(ErrorKind::kUnavailable, "cannot collect: somebody brings layers just now")
        .set_hint("try again when the pull, load or build is done");
  Collection collection(*state_, options);
  {
    TRY(auto transaction, state_->database.begin());
    TRY_VOID(collection.plan());
    if (!options.dry_run) {
      TRY_VOID(collection.forget());
      TRY_VOID(failpoint("store.collect.before"));
      TRY_VOID(transaction.commit());
    }
  }
  if (!options.dry_run) {
    TRY_VOID(failpoint("store.collect.recorded"));
    TRY_VOID(collection.remove());
  }
  lock.reset();
  TRY_VOID(collection.tell_objects());
  return std::move(collection).take();
}

}  // namespace wherry::store
