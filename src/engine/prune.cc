// Pruning: what nobody uses goes. Each thing is taken under the locks of its own removal, so that a
// container that starts meanwhile is left alone.
#include "base/clock.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/prune_filter.h"
#include "engine/tree_size.h"
#include "state/containers.h"

namespace wherry::engine {

Result<Engine::Pruned> LocalEngine::prune_containers(const Filters& filters) {
  TraceScope trace("engine.container.prune");
  TRY(PruneFilter filter,
      PruneFilter::compile(filters, {"until", "label", "label!"}, wall_clock_ns()));
  TRY(std::vector<ContainerRecord> records, list({.all = true, .filters = {}}));
  Pruned pruned;
  for (const ContainerRecord& record : records) {
    if (record.state.status == "running" || record.state.status == "paused" ||
        !filter.matches(parse_rfc3339(record.created).value_or(0), record.config.labels))
      continue;
    uint64_t bytes = tree_size(paths_.container_dir(record.id) + "/upper");
    Result<void> removed = remove(record.id, /*force=*/false, /*volumes=*/false);
    // Started or removed by somebody else meanwhile.
    if (!removed && (removed.error().kind() == ErrorKind::kConflict ||
                     removed.error().kind() == ErrorKind::kNotFound))
      continue;
    TRY_VOID(removed);
    pruned.names.push_back(record.id);
    pruned.bytes += bytes;
  }
  return pruned;
}

Result<std::vector<std::string>> LocalEngine::prune_networks() {
  TraceScope trace("engine.network.prune");
  TRY_VOID(recover());
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database_));
  std::vector<std::string> live;
  for (const state::ContainerRow& row : rows) live.push_back(row.id);
  TRY_VOID(networks_.prune(live));
  std::vector<std::string> removed;
  TRY(network::Network bridge, networks_.default_bridge());
  TRY(bool gone, networks_.remove_idle_bridge(bridge));
  if (gone) removed.push_back(bridge.name);
  return removed;
}

}  // namespace wherry::engine
