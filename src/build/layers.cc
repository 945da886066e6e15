#include "build/layers.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "state/build_steps.h"
#include "sys/sha256.h"

namespace wherry::build {
namespace {

constexpr int64_t kCommitAfterMs = 2000;
// More helpers would only take the processors from the steps.
constexpr size_t kMaxPacking = 2;
constexpr const char* kNothing = "nothing";

}  // namespace

Result<void> Layer::settle() {
  if (!packing) return {};
  TraceScope trace("build.settle");
  archive::Packing helper = std::move(*packing);
  packing.reset();
  TRY_CTX(archive::Packed packed, helper.finish(), "cannot seal a layer");
  if (packed.entries == 0) {
    empty = true;
    draft.reset();
    return {};
  }
  diff_id = packed.diff_id;
  return draft->finish({.diff_id = packed.diff_id, .tar_size = packed.tar_size, .blob = {}});
}

Result<Digest> Chain::identity() const {
  sys::Sha256 hash;
  for (const LayerPtr& layer : layers_) {
    TRY_VOID(layer->settle());
    hash.update(layer->empty ? kNothing : layer->diff_id->str());
    hash.update("\n");
  }
  return hash.finish();
}

int Chain::pending_fd() const {
  for (const LayerPtr& layer : layers_)
    if (layer->packing) return layer->packing->fd();
  return -1;
}

bool Chain::settles_within(int timeout_ms) const {
  int64_t deadline = monotonic_ns() + int64_t{timeout_ms} * 1000000;
  for (const LayerPtr& layer : layers_) {
    if (!layer->packing) continue;
    int64_t left = std::max<int64_t>(0, deadline - monotonic_ns()) / 1000000;
    pollfd ready{layer->packing->fd(), POLLIN, 0};
    if (poll(&ready, 1, static_cast<int>(left)) <= 0) return false;
  }
  return true;
}

bool Chain::mixed() const {
  bool drafts = false;
  for (const LayerPtr& layer : layers_) {
    if (!layer->draft && !layer->empty && drafts) return true;
    drafts = drafts || layer->draft;
  }
  return false;
}

Result<store::MountPlan> Chain::mount_plan(store::Store& store) const {
  if (mixed()) return Error(ErrorKind::kInternal, "a stored layer stands on an unsealed one");
  std::vector<Digest> stored;
  std::vector<const store::LayerDraft*> drafts;
  for (const LayerPtr& layer : layers_) {
    if (layer->draft) drafts.push_back(&*layer->draft);
    if (!layer->draft && !layer->empty) stored.push_back(*layer->diff_id);
  }
  TRY(store::MountPlan plan, store.mount_plan(stored));
  for (const store::LayerDraft* draft : drafts)
    plan.lower.insert(plan.lower.begin(), draft->tree_path());
  return plan;
}

Result<std::vector<Digest>> Chain::diff_ids() const {
  std::vector<Digest> digests;
  for (const LayerPtr& layer : layers_) {
    TRY_VOID(layer->settle());
    if (!layer->empty) digests.push_back(*layer->diff_id);
  }
  return digests;
}

Result<store::Lease*> Layers::lease() {
  if (!lease_) {
    TRY(store::Lease made, store_.new_lease());
    lease_.emplace(std::move(made));
  }
  return &*lease_;
}

Result<std::vector<LayerPtr>> Layers::stored(const std::vector<Digest>& diff_ids) {
  TRY(store::Lease * held, lease());
  TRY_VOID(held->hold(diff_ids));
  std::vector<LayerPtr> layers;
  for (const Digest& diff_id : diff_ids) {
    TRY_VOID(store_.check_layer(diff_id));
    auto layer = std::make_shared<Layer>();
    layer->diff_id = diff_id;
    layers.push_back(std::move(layer));
  }
  return layers;
}

LayerPtr Layers::nothing() {
  auto layer = std::make_shared<Layer>();
  layer->empty = true;
  return layer;
}

Result<LayerPtr> Layers::seal(store::LayerDraft draft, StepRecord step) {
  auto running = [&] {
    return std::ranges::count_if(made_, [](const LayerPtr& each) { return !!each->packing; });
  };
  for (const LayerPtr& each : made_)
    if (static_cast<size_t>(running()) >= kMaxPacking) TRY_VOID(each->settle());
  auto layer = std::make_shared<Layer>();
  TRY(int record, draft.record_fd());
  TRY(int recipe, draft.recipe_fd());
  TRY(layer->packing, archive::Packing::start({.directory = draft.tree(),
                                               .lock = draft.lock_fd(),
                                               .blob = -1,
                                               .record = record,
                                               .recipe = recipe,
                                               .max_entries = draft.max_entries()}));
  layer->draft.emplace(std::move(draft));
  uncommitted_ms_ += step.cost_ms;
  layer->record.emplace(std::move(step));
  made_.push_back(layer);
  return layer;
}

Result<std::optional<Layers::Hit>> Layers::find(const Digest& key) {
  TRY(auto row, state::find_build_step(database_, key.str()));
  if (!row) return std::optional<Hit>();
  Hit hit{{}, row->created_ns, row->cost_ms};
  if (row->layer.empty()) {
    hit.layer = nothing();
  } else {
    TRY(Digest diff_id, Digest::parse(row->layer));
    Result<std::vector<LayerPtr>> whole = stored({diff_id});
    // A damaged layer is made again as one that is gone, and takes its place.
    if (!whole && (whole.error().kind() == ErrorKind::kNotFound ||
                   whole.error().kind() == ErrorKind::kCorrupt))
      return std::optional<Hit>();
    if (!whole) return std::move(whole.error());
    hit.layer = std::move(whole->front());
  }
  used_.push_back(key);
  return std::optional(std::move(hit));
}

Result<void> Layers::record_steps(const std::vector<LayerPtr>& done, int64_t now) {
  for (const LayerPtr& layer : done) {
    const StepRecord& record = *layer->record;
    TRY(Digest parent, record.parent.identity());
    TRY_VOID(state::put_build_step(database_, {.key = record.parts.key(parent).str(),
                                               .layer = layer->empty ? "" : layer->diff_id->str(),
                                               .parts = record.parts.json(parent),
                                               .cost_ms = record.cost_ms,
                                               .created_ns = record.created_ns,
                                               .used_ns = now}));
  }
  for (const state::BuildStepRow& row : image_rows_)
    TRY_VOID(state::put_build_step(database_, row));
  for (const Digest& key : used_) TRY_VOID(state::touch_build_step(database_, key.str(), now));
  return {};
}

Result<std::optional<store::Image>> Layers::commit(const std::optional<store::NewImage>& image) {
  if (made_.empty() && used_.empty() && !image) return std::optional<store::Image>();
  TraceScope trace("build.commit");
  for (const LayerPtr& layer : made_) TRY_VOID(layer->settle());
  TRY_VOID(failpoint("build.packed"));
  std::vector<LayerPtr> done = std::move(made_);
  made_.clear();
  std::vector<store::LayerDraft> drafts;
  for (const LayerPtr& layer : done) {
    if (!layer->draft) continue;
    drafts.push_back(std::move(*layer->draft));
    layer->draft.reset();
  }
  int64_t now = wall_clock_ns();
  TRY(store::Lease * held, lease());
  auto within = [&]() -> Result<void> {
    std::vector<Digest> made;
    for (const LayerPtr& layer : done)
      if (!layer->empty) made.push_back(*layer->diff_id);
    TRY_VOID(held->hold_within(made));
    return record_steps(done, now);
  };
  TRY(std::optional<store::Image> made, store_.commit(std::move(drafts), image, within));
  for (const LayerPtr& layer : done) layer->record.reset();
  used_.clear();
  image_rows_.clear();
  uncommitted_ms_ = 0;
  return made;
}

Result<bool> Layers::commit_when_due(const Chain& chain) {
  if (uncommitted_ms_ < kCommitAfterMs && !chain.mixed()) return false;
  TRY([[maybe_unused]] auto none, commit({}));
  return true;
}

}  // namespace wherry::build
