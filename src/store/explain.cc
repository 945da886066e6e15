#include "store/explain.h"

#include <algorithm>
#include <map>
#include <optional>

#include "oci/reference.h"
#include "state/images.h"
#include "store/layer_folder.h"
#include "store/tree_file.h"
#include "tree/record.h"

namespace wherry::store {
namespace {

// Objects that wait for their reason.
class Untold {
 public:
  explicit Untold(std::span<const ObjectRef> refs) : refs_(refs), told_(refs.size()) {}

  // The object, if it is one of these and was not taken before.
  const ObjectRef* take(const tree::ObjectId& id) {
    auto found = std::ranges::lower_bound(refs_, id, {}, &ObjectRef::id);
    if (found == refs_.end() || found->id != id) return nullptr;
    const auto place = static_cast<size_t>(found - refs_.begin());
    if (told_[place]) return nullptr;
    told_[place] = true;
    return &*found;
  }
  template <typename Tell>
  Result<void> take_rest(Tell tell) {
    for (size_t i = 0; i < refs_.size(); ++i)
      if (!told_[i]) TRY_VOID(tell(refs_[i]));
    return {};
  }

 private:
  std::span<const ObjectRef> refs_;
  std::vector<bool> told_;
};

// diff id -> "image 'web:1'", "images 'web:1' and 2 more".
Result<std::map<std::string, std::string>> users_of_layers(state::Database& database) {
  struct Users {
    std::string name;
    size_t count = 0;
  };
  std::map<std::string, Users> users;
  TRY(std::vector<state::ImageRow> images, state::list_images(database));
  for (const state::ImageRow& image : images) {
    TRY(std::vector<std::string> tags, state::tags_of(database, image.id));
    std::string name = image.id;
    if (!tags.empty()) {
      Result<oci::ImageRef> reference = oci::ImageRef::parse(tags.front());
      name = reference ? reference->familiar() : tags.front();
    }
    TRY(std::vector<state::LayerRow> layers, state::layers_of(database, image.id));
    for (const state::LayerRow& layer : layers) {
      Users& one = users[layer.diff_id];
      if (one.count++ == 0) one.name = name;
    }
  }
  std::map<std::string, std::string> words;
  for (const auto& [diff_id, one] : users)
    words[diff_id] =
        one.count == 1 ? "image '" + one.name + "'"
                       : "images '" + one.name + "' and " + std::to_string(one.count - 1) + " more";
  return words;
}

class Explanation {
 public:
  Explanation(const Places& places, const ObjectSink& sink) : places_(places), sink_(sink) {}

  Result<void> tell(const ObjectRef& ref, bool goes, const std::string& why) {
    return sink_({goes, "object sha256:" + object_hex(ref.id), ref.size, why});
  }

  // The objects of `untold` that the layer names, in the order of its names; the words come behind
  // "it is PATH of layer X".
  Result<void> tell_named(Untold& untold, const std::string& layer, bool goes,
                          const std::string& words) {
    Result<sys::Fd> folder =
        sys::open_at(places_.layers.get(), layer, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
    if (!folder) return {};
    Result<MappedFile> record = MappedFile::open(folder->get(), kRecord);
    if (!record) return {};
    Result<tree::RecordReader> reader =
        tree::RecordReader::open(record->bytes(), tree::RecordKind::kLayer, kMaxLayerEntries);
    if (!reader) return {};
    const std::string of_layer = " of layer sha256:" + layer + words;
    for (;;) {
      Result<const tree::Entry*> entry = reader->next();
      // One that is damaged is fsck's to tell.
      if (!entry || *entry == nullptr) return {};
      if ((*entry)->type != tree::Type::kFile || (*entry)->size == 0) continue;
      const ObjectRef* ref = untold.take((*entry)->object);
      if (ref == nullptr) continue;
      std::string path = "/";
      path += (*entry)->path;
      std::string why = "it is ";
      why += shown_path(path);
      why += of_layer;
      TRY_VOID(tell(*ref, goes, why));
    }
  }

 private:
  const Places& places_;
  const ObjectSink& sink_;
};

}  // namespace

Result<void> explain(Store::State& state, const Fates& fates, const ObjectSink& sink) {
  TRY(auto users, users_of_layers(state.database));
  Explanation explanation(state.places, sink);
  Untold freed(fates.freed), kept(fates.kept);
  for (const std::string& layer : fates.freed_layers)
    TRY_VOID(explanation.tell_named(freed, layer, true, ", which goes; no other layer names it"));
  TRY_VOID(freed.take_rest(
      [&](const ObjectRef& ref) { return explanation.tell(ref, true, "no layer names it"); }));
  for (const std::string& layer : fates.kept_layers) {
    auto found = users.find("sha256:" + layer);
    const std::string words = found == users.end()
                                  ? std::string(", which no image has, but a build or its cache")
                                  : ", of " + found->second;
    TRY_VOID(explanation.tell_named(kept, layer, false, words));
  }
  return kept.take_rest([&](const ObjectRef& ref) {
    return explanation.tell(ref, false, "a layer's index names it");
  });
}

}  // namespace wherry::store
