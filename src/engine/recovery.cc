// What crashes leave behind, found by comparing the directories with the database. Every look that
// may lead to a change is repeated under the container's lock, so that commands at work are never
// disturbed.
#include <set>

#include "base/failpoint.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "sys/file.h"

namespace wherry::engine {

Result<void> LocalEngine::recover() {
  TraceScope trace("engine.recover");
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database_));
  std::set<std::string> known;
  for (const state::ContainerRow& row : rows) known.insert(row.id);
  TRY(std::vector<std::string> runs, sys::list_dir(fds_.run_containers.get()));
  for (const std::string& id : runs) {
    TRY(std::optional<sys::FileLock> lock, try_lock_container(id));
    if (!lock) continue;
    // One container that cannot be settled must not hide the others.
    [[maybe_unused]] Result<void> settled = settle_locked(id);
    if (auto record = reload(id); record && !*record) drop_lock_file(id);
  }
  sweep_container_dirs();
  sweep_volumes();
  [[maybe_unused]] Result<void> leases = networks_.sweep();
  if (Result<store::Store*> images = store()) [[maybe_unused]]
    Result<void> drafts = (*images)->sweep();
  TRY(std::vector<std::string> locks, sys::list_dir(fds_.locks.get()));
  for (const std::string& id : locks) {
    if (known.contains(id)) continue;
    TRY(std::optional<sys::FileLock> lock, try_lock_container(id));
    if (!lock) continue;
    if (auto record = reload(id); record && !*record) drop_lock_file(id);
  }
  return {};
}

void LocalEngine::sweep_container_dirs() {
  Result<std::vector<std::string>> names = sys::list_dir(fds_.containers.get());
  if (!names) return;
  for (const std::string& id : *names) {
    if (Result<std::optional<ContainerRecord>> record = reload(id); !record || *record) continue;
    Result<std::optional<sys::FileLock>> lock = try_lock_container(id);
    if (!lock || !*lock) continue;
    if (Result<std::optional<ContainerRecord>> record = reload(id); record && !*record)
        [[maybe_unused]]
      auto removed = sys::remove_tree_at(fds_.containers.get(), id);
    drop_lock_file(id);
  }
}

}  // namespace wherry::engine
