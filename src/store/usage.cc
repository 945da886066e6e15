// What images cost, alone and together; and how two of them differ.
#include <algorithm>
#include <numeric>

#include "base/trace.h"
#include "state/trees.h"
#include "store/chain.h"
#include "store/snapshot.h"
#include "store/store_state.h"

namespace wherry::store {
namespace {

uint64_t bytes_of(std::span<const ObjectRef> refs) {
  return std::accumulate(refs.begin(), refs.end(), uint64_t{0},
                         [](uint64_t sum, const ObjectRef& ref) { return sum + ref.size; });
}

// The objects of all layers of an image.
Result<std::vector<ObjectRef>> objects_of_image(const Places& places,
                                                const std::vector<Digest>& chain) {
  std::vector<ObjectRef> objects;
  for (const Digest& layer : chain) {
    TRY(sys::Fd folder, open_layer(places, layer));
    TRY_CTX(ObjectIndex index, ObjectIndex::open(folder.get()), "layer '" + layer.str() + "'");
    std::vector<ObjectRef> merged;
    merged.reserve(objects.size() + index.refs().size());
    std::ranges::set_union(objects, index.refs(), std::back_inserter(merged));
    objects = std::move(merged);
  }
  return objects;
}

std::string name_of(const Image& image) {
  if (image.tags.empty()) return std::string(image.id.short_hex());
  Result<oci::ImageRef> reference = oci::ImageRef::parse(image.tags.front());
  return reference ? reference->familiar() : image.tags.front();
}

}  // namespace

Result<std::vector<ImageUsage>> Store::usage() {
  TraceScope trace("store.usage");
  TRY(std::vector<Image> images, list());
  std::vector<std::vector<ObjectRef>> objects;
  for (const Image& image : images) {
    TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
    TRY_CTX(std::vector<ObjectRef> named, objects_of_image(state_->places, chain),
            "image '" + name_of(image) + "'");
    objects.push_back(std::move(named));
  }
  std::vector<ImageUsage> usages;
  for (size_t i = 0; i < images.size(); ++i) {
    ImageUsage usage{
        images[i].id.str(), images[i].tags, bytes_of(objects[i]), 0, objects[i].size(), {}};
    std::vector<ObjectRef> alone = objects[i];
    for (size_t j = 0; j < images.size(); ++j) {
      if (i == j) continue;
      std::vector<ObjectRef> both;
      std::ranges::set_intersection(objects[i], objects[j], std::back_inserter(both));
      alone = without(std::move(alone), objects[j]);
      if (!both.empty()) usage.shared.push_back({name_of(images[j]), bytes_of(both)});
    }
    usage.alone = bytes_of(alone);
    std::ranges::stable_sort(usage.shared, std::greater(), &ImageUsage::Shared::bytes);
    usages.push_back(std::move(usage));
  }
  return usages;
}

Result<void> Store::differences(const Image& before, const Image& after,
                                const std::function<Result<void>(const tree::Difference&)>& sink) {
  TraceScope trace("store.differences");
  auto open = [&](const Image& image) -> Result<ChainRecords> {
    TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
    TRY(auto folders, open_chain(state_->places, chain));
    return ChainRecords::open(folders);
  };
  TRY(ChainRecords old_records, open(before));
  TRY(ChainRecords new_records, open(after));
  TRY(tree::Merger old_tree, old_records.merge());
  TRY(tree::Merger new_tree, new_records.merge());
  return tree::differences(tree::entries_of(old_tree), tree::entries_of(new_tree), sink);
}

Result<void> Store::walk(const Image& image,
                         const std::function<Result<void>(const tree::Entry&)>& sink) {
  TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
  TRY(auto folders, open_chain(state_->places, chain));
  TRY(ChainRecords records, ChainRecords::open(folders));
  TRY(tree::Merger merger, records.merge());
  for (;;) {
    TRY(const tree::Entry* entry, merger.next());
    if (entry == nullptr) return {};
    TRY_VOID(sink(*entry));
  }
}

Result<std::string> Store::tree_digest(const Image& image) {
  TRY(std::vector<Digest> chain, layers_of_image(state_->database, image.id));
  if (chain.empty()) return std::string();
  // Makes the row when it is missing.
  TRY([[maybe_unused]] MountPlan plan, mount_plan(chain));
  TRY(auto row, state::get_tree(state_->database, chain_id(chain).str()));
  if (!row) return Error(ErrorKind::kInternal, "a merged tree has no row");
  return row->tree;
}

}  // namespace wherry::store
