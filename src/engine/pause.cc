// pause, unpause, rename. That a container is paused is the kernel's truth alone: nothing is
// recorded that could disagree with it after a crash.
#include "base/failpoint.h"
#include "base/names.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "runtime/container.h"

namespace wherry::engine {
namespace {

Error refused(std::string message) {
  return Error(ErrorKind::kConflict, std::move(message));
}

}  // namespace

Result<bool> LocalEngine::is_paused(const std::string& id) {
  return runtime::cgroup_frozen(paths_.cgroup(id));
}

Result<void> LocalEngine::thaw(const std::string& id) {
  TRY(bool paused, is_paused(id));
  return paused ? runtime::freeze_cgroup(paths_.cgroup(id), false) : Result<void>();
}

Result<void> LocalEngine::pause(const std::string& name) {
  TraceScope trace("engine.pause");
  TRY(ContainerRecord record, find_record(name));
  TRY(sys::FileLock lock, lock_container(record.id));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kHolder));
  if (!view.running()) return refused("Container " + record.id + " is not running");
  TRY(bool paused, is_paused(record.id));
  if (paused) return refused("Container " + record.id + " is already paused");
  TRY_VOID(failpoint("engine.pause.freezing"));
  TRY_VOID_CTX(runtime::freeze_cgroup(paths_.cgroup(record.id), true),
               "cannot pause container '" + record.name + "'");
  return failpoint("engine.pause.frozen");
}

Result<void> LocalEngine::unpause(const std::string& name) {
  TraceScope trace("engine.unpause");
  TRY(ContainerRecord record, find_record(name));
  TRY(sys::FileLock lock, lock_container(record.id));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kHolder));
  TRY(bool paused, is_paused(record.id));
  if (!view.running() || !paused) return refused("Container " + record.id + " is not paused");
  TRY_VOID_CTX(runtime::freeze_cgroup(paths_.cgroup(record.id), false),
               "cannot unpause container '" + record.name + "'");
  return failpoint("engine.unpause.thawed");
}

Result<void> LocalEngine::rename(const std::string& name, const std::string& new_name) {
  if (new_name.empty() || new_name == "/")
    return Error(ErrorKind::kInvalidArgument, "Neither old nor new names may be empty");
  std::string wanted = new_name.starts_with('/') ? new_name.substr(1) : new_name;
  TRY_VOID(check_container_name(wanted));
  TRY(ContainerRecord found, find_record(name));
  TRY(sys::FileLock lock, lock_container(found.id));
  TRY_VOID(settle_locked(found.id));
  TRY(ContainerRecord record, find_record(found.id));
  if (record.name == wanted)
    return Error(ErrorKind::kInvalidArgument,
                 "Renaming a container with the same name as its current name");
  record.name = wanted;
  TRY_VOID(failpoint("engine.rename.begin"));
  return save(record, state::Durability::kDurable);
}

}  // namespace wherry::engine
