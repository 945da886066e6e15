// The layers a build works with: where each is, what it is, and when those it made become durable.
//
// A step's changes are a draft of the store. Sealing starts a helper that computes the draft's
// digests while later steps already stand on it; commit() makes what is finished durable, layers
// and cache records together, in one sync and one transaction. So a step costs no sync of its own,
// and a record never exists without its layer. What the build stands on is held by a lease: an rmi
// or a prune beside it takes names and records, not layers. Not thread-safe.
#pragma once

#include <memory>
#include <optional>
#include <string>
#include <vector>

#include "archive/pack_client.h"
#include "build/key.h"
#include "state/build_steps.h"
#include "store/store.h"

namespace wherry::build {

struct Layer;
using LayerPtr = std::shared_ptr<Layer>;

// A stage's layers, lowest first. A value: stages that start from another copy its chain.
class Chain {
 public:
  void push(LayerPtr layer) { layers_.push_back(std::move(layer)); }
  const std::vector<LayerPtr>& layers() const { return layers_; }
  // Of all layers in order; waits for helpers that still compute.
  Result<Digest> identity() const;
  // Whether identity() would not wait longer than this.
  bool settles_within(int timeout_ms) const;
  // The helper that identity() would wait for; -1: none.
  int pending_fd() const;
  // For an overlay: without layers that change nothing.
  store::MountPlan mount_plan() const;
  // For an image's configuration; waits as identity() does.
  Result<std::vector<Digest>> diff_ids() const;

 private:
  std::vector<LayerPtr> layers_;
};

// What will be recorded of a step that ran.
struct StepRecord {
  KeyParts parts;
  Chain parent;
  int64_t cost_ms = 0;
  int64_t created_ns = 0;
};

struct Layer {
  std::optional<Digest> diff_id;  // empty while a helper computes, and of one that changes nothing
  bool empty = false;
  std::string path;  // the tree, absolute; another one after the commit
  // Only of what this build has made and not committed.
  std::optional<store::LayerDraft> draft;
  std::optional<archive::Packing> packing;
  std::optional<StepRecord> record;

  // Waits for the helper.
  Result<void> settle();
};

class Layers {
 public:
  Layers(store::Store& store, state::Database& database) : store_(store), database_(database) {}

  // Those that are in the store, in order; they stay there until this goes, whatever is removed
  // meanwhile. kNotFound names the first that is not.
  Result<std::vector<LayerPtr>> stored(const std::vector<Digest>& diff_ids);
  // A cached step that changed nothing.
  LayerPtr nothing();
  // The draft's tree is whole.
  Result<LayerPtr> seal(store::LayerDraft draft, StepRecord record);

  struct Hit {
    LayerPtr layer;
    int64_t created_ns = 0;
    int64_t cost_ms = 0;
  };
  // A record whose layer is gone or damaged is none.
  Result<std::optional<Hit>> find(const Digest& key);

  // Recorded with the next commit.
  void record_image(state::BuildStepRow row) { image_rows_.push_back(std::move(row)); }

  // Everything made so far, and the image when there is one, becomes durable. Failpoint:
  // build.packed.
  Result<std::optional<store::Image>> commit(const std::optional<store::NewImage>& image);
  // As commit(), when more than about two seconds of work would be lost. True: it was, and layers
  // may be in other places now.
  Result<bool> commit_when_due();

 private:
  Result<void> record_steps(const std::vector<LayerPtr>& done, int64_t now);
  Result<store::Lease*> lease();

  store::Store& store_;
  state::Database& database_;
  std::optional<store::Lease> lease_;  // of all layers below and of those committed
  std::vector<LayerPtr> made_;         // not committed
  std::vector<Digest> used_;           // keys that hit
  std::vector<state::BuildStepRow> image_rows_;
  int64_t uncommitted_ms_ = 0;
};

}  // namespace wherry::build
