#include "build/prune.h"

#include "base/clock.h"
#include "base/failpoint.h"
#include "build/caches.h"
#include "state/build_steps.h"
#include "state/file_digests.h"
#include "state/images.h"

namespace wherry::build {
namespace {

Result<std::vector<std::string>> choose(state::Database& database, const PruneOptions& options,
                                        int64_t now) {
  TRY(std::vector<state::BuildStepRow> rows, state::list_build_steps(database));
  std::vector<std::string> keys;
  for (const state::BuildStepRow& row : rows) {
    if (options.unused_for_ns && row.used_ns > now - *options.unused_for_ns) continue;
    if (!options.all) {
      // What costs nothing to keep, or is an image's layer anyway.
      if (row.layer.empty()) continue;
      TRY(int64_t users, state::layer_users(database, row.layer));
      if (users > 0) continue;
    }
    keys.push_back(row.key);
  }
  return keys;
}

}  // namespace

Result<Pruned> prune(engine::BuildHost& host, const PruneOptions& options) {
  TRY(store::Store * store, host.image_store());
  TRY_VOID(store->sweep());
  int64_t now = wall_clock_ns();
  Pruned pruned;
  TRY(pruned.bytes, store->prune_layers([&]() -> Result<void> {
    TRY(pruned.steps, choose(host.state(), options, now));
    for (const std::string& key : pruned.steps)
      TRY_VOID(state::delete_build_step(host.state(), key));
    return {};
  }));
  TRY_VOID(failpoint("build.pruned"));
  // What files contained is read again when it is needed.
  if (!options.unused_for_ns) TRY_VOID(state::clear_file_digests(host.state()));
  if (options.all) {
    TRY(uint64_t caches, remove_caches(host.root(), options.unused_for_ns, now));
    pruned.bytes += caches;
  }
  return pruned;
}

}  // namespace wherry::build
