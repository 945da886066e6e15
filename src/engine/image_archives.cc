// Images in archives and out of them, and the removal of those that nobody needs.
#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/prune_filter.h"
#include "engine/reserve.h"
#include "state/containers.h"
#include "transfer/refetch.h"

namespace wherry::engine {
namespace {

// Neither tag nor digest: the whole repository is meant.
bool is_bare(const std::string& name) {
  size_t last = name.rfind('/') == std::string::npos ? 0 : name.rfind('/');
  return name.find_first_of(":@", last) == std::string::npos;
}

struct Wanted {
  store::Image image;
  std::vector<oci::ImageRef> names;
};

// The images under a repository's tags; empty: the name is none of a repository.
std::vector<Wanted> of_repository(const std::vector<store::Image>& images,
                                  const std::string& name) {
  std::vector<Wanted> found;
  Result<oci::ImageRef> repository = oci::ImageRef::parse(name);
  if (!repository || !is_bare(name)) return found;
  for (const store::Image& image : images) {
    Wanted wanted{image, {}};
    for (const std::string& tag : image.tags) {
      Result<oci::ImageRef> reference = oci::ImageRef::parse(tag);
      if (reference && reference->repository() == repository->repository())
        wanted.names.push_back(std::move(*reference));
    }
    if (!wanted.names.empty()) found.push_back(std::move(wanted));
  }
  return found;
}

Result<std::vector<Wanted>> find_wanted(store::Store& store,
                                        const std::vector<store::Image>& images,
                                        const std::string& name) {
  std::vector<Wanted> found = of_repository(images, name);
  if (!found.empty()) return found;
  TRY(store::Image image, store.find(name));
  Wanted wanted{std::move(image), {}};
  Result<oci::ImageRef> reference = oci::ImageRef::parse(name);
  // Found by its id or its digest it has no name.
  if (reference && !reference->digest()) {
    std::string key = reference->repository() + ":" + reference->tag().value_or("latest");
    if (std::ranges::find(wanted.image.tags, key) != wanted.image.tags.end())
      wanted.names.push_back(std::move(*reference));
  }
  found.push_back(std::move(wanted));
  return found;
}

// Each image once, under all the names that were asked for.
void add_item(std::vector<store::Store::SaveItem>& items, Wanted wanted) {
  auto same = std::ranges::find_if(
      items, [&](const store::Store::SaveItem& item) { return item.image.id == wanted.image.id; });
  if (same == items.end()) {
    items.push_back({std::move(wanted.image), std::move(wanted.names)});
    return;
  }
  for (oci::ImageRef& name : wanted.names) {
    bool known = std::ranges::any_of(same->names, [&](const oci::ImageRef& other) {
      return other.familiar() == name.familiar();
    });
    if (!known) same->names.push_back(std::move(name));
  }
}

void append(std::vector<std::string>& target, std::vector<std::string> more) {
  target.insert(target.end(), std::make_move_iterator(more.begin()),
                std::make_move_iterator(more.end()));
}

// The blobs that the images' own manifests name, as far as they can still be had; else why not.
std::vector<std::string> complete(store::Store& store,
                                  const std::vector<store::Store::SaveItem>& items,
                                  const transfer::EndpointsOf& endpoints_of) {
  std::vector<std::string> warnings;
  for (const store::Store::SaveItem& item : items) {
    if (item.image.made_here) continue;
    auto lost = transfer::lost_layers(store, item.image);
    Result<void> done = lost ? transfer::refetch(store, item.image, *lost, endpoints_of, {})
                             : Result<void>(std::move(lost.error()));
    if (!done) warnings.push_back(done.error().message());
  }
  return warnings;
}

}  // namespace

Result<std::vector<std::string>> LocalEngine::save(const SaveRequest& request) {
  TraceScope trace("engine.save");
  TRY(store::Store * store, image_store());
  TRY(std::vector<store::Image> images, store->list());
  std::vector<store::Store::SaveItem> items;
  for (const std::string& name : request.names) {
    TRY(std::vector<Wanted> found, find_wanted(*store, images, name));
    for (Wanted& wanted : found) add_item(items, std::move(wanted));
  }
  std::vector<std::string> warnings = complete(*store, items, pull_endpoints_of());
  // No layer may go away while it is written.
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(fds_.run.get(), "images.lock", sys::FileLock::Mode::kShared));
  TRY(std::vector<std::string> more, store->save(request.out_fd, items));
  append(warnings, std::move(more));
  return warnings;
}

Result<std::vector<store::Store::Loaded>> LocalEngine::load(const LoadRequest& request) {
  TraceScope trace("engine.load");
  TRY(store::Store * store, image_store());
  TRY_VOID(store->sweep());
  ensure_reserve(fds_.root.get());
  auto loaded = store->load(request.archive_fd, {request.source, request.platform});
  // One layer's objects could not be taken away while another layer's were counted on.
  if (!loaded) [[maybe_unused]]
    Result<void> swept = store->sweep();
  return loaded;
}

Result<store::Store::Removed> LocalEngine::prune_images(bool all, const Filters& filters) {
  TraceScope trace("engine.image.prune");
  TRY(PruneFilter filter,
      PruneFilter::compile(filters, {"until", "label", "label!"}, wall_clock_ns()));
  TRY_VOID(recover());
  TRY(store::Store * store, image_store());
  TRY_VOID(store->sweep());
  // No container may be made from an image between our look at them and its end.
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(fds_.run.get(), "images.lock", sys::FileLock::Mode::kExclusive));
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database_));
  std::set<std::string> in_use;
  for (const state::ContainerRow& row : rows) in_use.insert(row.image_id);
  TRY(std::vector<store::Image> images, store->list());
  store::Store::Removed pruned;
  for (const store::Image& image : images) {
    if (in_use.contains(image.id.str()) || (!all && !image.tags.empty())) continue;
    TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
    if (!filter.matches(image.created_ns, config.config.labels)) continue;
    TRY(store::Store::Removed removed, with_reserve(fds_.root.get(), [&] {
          return store->remove(image.id.str(), /*force=*/true, {});
        }));
    append(pruned.untagged, std::move(removed.untagged));
    append(pruned.deleted, std::move(removed.deleted));
    pruned.bytes += removed.bytes;
  }
  return pruned;
}

}  // namespace wherry::engine
