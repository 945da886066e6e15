// Store::fsck: everything that the store has acknowledged, looked at or read again.
#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <map>
#include <set>

#include "base/trace.h"
#include "state/blobs.h"
#include "state/trees.h"
#include "store/layer_folder.h"
#include "store/snapshot.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "sys/sha256.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

std::string hex_of(const std::string& digest) {
  return digest.substr(digest.find(':') + 1);
}

class Fsck {
 public:
  Fsck(Store::State& state, const FsckOptions& options) : state_(state), options_(options) {}

  Result<FsckReport> run() {
    TRY(auto held, state_.hold_objects());
    TRY_VOID(check_images());
    TRY_VOID(check_layers());
    TRY_VOID(check_objects());
    TRY_VOID(check_blobs());
    TRY_VOID(check_snapshots());
    for (const auto& [id, name] : damaged_) report_.damaged.push_back(name);
    return std::move(report_);
  }

 private:
  const Places& places() const { return state_.places; }
  void problem(const std::string& what) { report_.problems.push_back(what); }
  void repaired(const std::string& what) { report_.repairs.push_back(what); }
  void damage_users(const std::string& diff_id) {
    for (const state::ImageRow* image : users_[diff_id]) {
      Result<std::vector<std::string>> tags = state::tags_of(state_.database, image->id);
      damaged_[image->id] = tags && !tags->empty() ? tags->front() : image->id;
    }
  }

  Result<void> check_images() {
    TRY(images_, state::list_images(state_.database));
    for (const state::ImageRow& image : images_) {
      ++report_.images;
      if (sys::sha256(image.config).str() != image.id)
        problem("image '" + image.id + "': its configuration has another digest");
      if (sys::sha256(image.manifest).str() != image.manifest_digest)
        problem("image '" + image.id + "': its manifest has another digest");
      TRY(std::vector<state::LayerRow> layers, state::layers_of(state_.database, image.id));
      for (const state::LayerRow& layer : layers) users_[layer.diff_id].push_back(&image);
    }
    return {};
  }

  Result<void> check_layers() {
    TRY(std::vector<state::LayerRow> layers, state::list_layers(state_.database));
    for (const state::LayerRow& layer : layers) {
      ++report_.layers;
      Result<void> whole = check_layer(layer.diff_id);
      if (whole) continue;
      problem("layer '" + layer.diff_id + "': " + whole.error().message());
      damage_users(layer.diff_id);
      if (options_.repair) TRY_VOID(take_away_layer(layer.diff_id));
    }
    return {};
  }

  // The record proves itself; the index must be what the record says.
  Result<void> check_layer(const std::string& diff_id) {
    TRY(Digest id, Digest::parse(diff_id));
    TRY(sys::Fd folder, open_layer(places(), id));
    TRY(LayerContents contents, read_layer(folder.get()));
    TRY([[maybe_unused]] MappedFile recipe, MappedFile::open(folder.get(), kRecipe));
    for (const ObjectRef& ref : contents.objects) objects_.try_emplace(ref, diff_id);
    TRY(ObjectIndex index, ObjectIndex::open(folder.get()));
    if (!std::ranges::equal(contents.objects, index.refs()))
      return Error(ErrorKind::kCorrupt, "its index does not belong to its record");
    return {};
  }

  // A name that the object has in the layer.
  Result<std::string> name_of(const ObjectRef& ref, const std::string& diff_id) {
    TRY(Digest id, Digest::parse(diff_id));
    TRY(sys::Fd folder, open_layer(places(), id));
    TRY(MappedFile record, MappedFile::open(folder.get(), kRecord));
    TRY(tree::RecordReader reader,
        tree::RecordReader::open(record.bytes(), tree::RecordKind::kLayer, kMaxLayerEntries));
    for (;;) {
      TRY(const tree::Entry* entry, reader.next());
      if (entry == nullptr) return std::string();
      if (entry->type == tree::Type::kFile && entry->size > 0 && entry->object == ref.id)
        return "/" + std::string(entry->path);
    }
  }

  Result<void> take_away_layer(const std::string& diff_id) {
    TRY(Digest id, Digest::parse(diff_id));
    TRY(Incoming trash, Incoming::create(places(), state_.database));
    TRY_VOID(trash.take_layer(id));
    repaired("took layer '" + diff_id + "' away");
    return {};
  }

  Result<void> check_objects() {
    for (const auto& [ref, diff_id] : objects_) {
      ++report_.objects;
      ObjectState found = look_at_object(places().objects.get(), ref);
      if (found == ObjectState::kWhole && !options_.quick) {
        TRY(found, read_object(places().objects.get(), ref));
        report_.bytes += ref.size;
      }
      if (found == ObjectState::kWhole) continue;
      const std::string hex = object_hex(ref.id);
      TRY(std::string name, name_of(ref, diff_id));
      problem("object '" + hex + "' is " +
              (found == ObjectState::kMissing ? "missing" : "damaged") + ": it is '" + name +
              "' of layer '" + diff_id + "'");
      TRY_VOID(damage_layers_with(ref));
      if (!options_.repair || found == ObjectState::kMissing) continue;
      if (unlinkat(places().objects.get(), object_name(ref.id).c_str(), 0) != 0 && errno != ENOENT)
        return Error::from_errno(errno, "cannot remove object '" + hex + "'");
      repaired("took object '" + hex + "' away");
    }
    return {};
  }

  Result<void> damage_layers_with(const ObjectRef& ref) {
    for (const auto& [diff_id, images] : users_) {
      TRY(Digest id, Digest::parse(diff_id));
      Result<sys::Fd> folder = open_layer(places(), id);
      if (!folder) continue;
      Result<ObjectIndex> index = ObjectIndex::open(folder->get());
      if (index && std::ranges::binary_search(index->refs(), ref)) damage_users(diff_id);
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
      problem("blob '" + blob.digest + "' is missing or damaged");
      if (!options_.repair) continue;
      // The layer itself is not touched: its tar is made again from its recipe.
      TRY(auto transaction, state_.database.begin());
      TRY_VOID(state::delete_blob(state_.database, blob.digest));
      TRY_VOID(transaction.commit());
      unlinkat(places().blobs.get(), hex_of(blob.digest).c_str(), 0);
      repaired("took blob '" + blob.digest + "' away");
    }
    return {};
  }

  // An image is what its layers' records make of it, bit for bit. Checkouts of other rungs are
  // looked at when they are made.
  Result<void> check_snapshots() {
    TRY(std::vector<state::TreeRow> rows, state::list_trees(state_.database));
    std::set<std::string> seen;
    for (const state::TreeRow& row : rows) {
      const std::string name = snapshot_names(Rung::kErofs, row).front();
      if (!seen.insert(name).second || !sys::exists_at(places().trees.get(), name)) continue;
      ++report_.snapshots;
      if (options_.quick) continue;
      Result<bool> same = is_whole_snapshot(state_, row);
      // Without its layers it cannot be compared, and what is wrong with them was said.
      if (!same || *same) continue;
      problem("snapshot '" + name + "' is damaged");
      if (!options_.repair) continue;
      TRY(Incoming trash, Incoming::create(places(), state_.database));
      take_snapshots(places(), trash.directory(), {snapshot_base(name)});
      repaired("took snapshot '" + name + "' away");
    }
    return {};
  }

  Store::State& state_;
  FsckOptions options_;
  FsckReport report_;
  std::vector<state::ImageRow> images_;
  std::map<std::string, std::vector<const state::ImageRow*>> users_;  // of layers
  std::map<ObjectRef, std::string> objects_;                          // to a layer that names it
  std::map<std::string, std::string> damaged_;                        // id to name
};

}  // namespace

Result<FsckReport> Store::fsck(const FsckOptions& options) {
  TraceScope trace("store.fsck");
  TRY_VOID(sweep());
  return Fsck(*state_, options).run();
}

}  // namespace wherry::store
