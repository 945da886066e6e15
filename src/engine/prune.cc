// Pruning: what nobody uses goes. Each thing is taken under the locks of its own removal, so that a
// container that starts meanwhile is left alone.
#include <unistd.h>

#include "base/clock.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/prune_filter.h"
#include "engine/tree_size.h"
#include "runtime/cgroup_hierarchies.h"
#include "sys/file.h"

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

Result<void> LocalEngine::prune_networks() {
  TraceScope trace("engine.network.prune");
  TRY_VOID(recover());
  // Containers and build steps alike have a run directory before their lease and until after it.
  TRY_VOID(networks_.prune([&] { return sys::list_dir(fds_.run_containers.get()); }));
  TRY(std::optional<network::Network> bridge, networks_.known_default_bridge());
  if (bridge) {
    TRY([[maybe_unused]] bool gone, networks_.remove_idle_bridge(*bridge));
  }
  return remove_idle_cgroups();
}

// The root's own cgroup and that of its monitors. While a container starts it has neither a process
// nor a child in some of them: hence the lock, which starts share.
Result<void> LocalEngine::remove_idle_cgroups() {
  TRY(auto lock,
      sys::FileLock::try_acquire(fds_.run.get(), kCgroupsLock, sys::FileLock::Mode::kExclusive));
  if (!lock) return {};
  TRY(runtime::Hierarchies hierarchies, runtime::find_hierarchies());
  std::vector<std::string> mounts;
  for (const auto& hierarchy : hierarchies.v1) mounts.push_back(hierarchy.mount);
  if (!hierarchies.v2_mount.empty()) mounts.push_back(hierarchies.v2_mount);
  for (const std::string& mount : mounts) {
    // Refused by the kernel where somebody is in it.
    rmdir((mount + paths_.cgroup_parent + "/engine").c_str());
    rmdir((mount + paths_.cgroup_parent).c_str());
  }
  return {};
}

}  // namespace wherry::engine
