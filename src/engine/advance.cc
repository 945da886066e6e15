#include "engine/advance.h"

#include <unistd.h>

#include <utility>

#include "base/failpoint.h"
#include "engine/run_dir.h"
#include "runtime/container.h"
#include "sys/file.h"

namespace wherry::engine {

Result<Advance> Advance::make(std::string id, Places places, const Spawn& spawn) {
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(places.locks, id, sys::FileLock::Mode::kExclusive));
  Advance advance(std::move(id), std::move(places), std::move(lock));
  TRY(advance.run_dir_,
      make_run_dir(advance.places_.run_containers, advance.id_, StartMarker::kRun));
  TRY_VOID(failpoint("engine.advance.marked"));
  TRY(advance.standby_, spawn());
  TRY_VOID(failpoint("engine.advance.spawned"));
  return advance;
}

Advance::Advance(Advance&& other) noexcept
    : id_(std::move(other.id_)),
      places_(std::move(other.places_)),
      lock_(std::exchange(other.lock_, std::nullopt)),
      run_dir_(std::move(other.run_dir_)),
      standby_(std::exchange(other.standby_, std::nullopt)) {}

Advance::Parts Advance::use() && {
  return {*std::exchange(lock_, std::nullopt), std::move(run_dir_),
          *std::exchange(standby_, std::nullopt)};
}

Advance::~Advance() {
  if (!lock_) return;
  standby_.reset();
  // A monitor that was killed has left it.
  [[maybe_unused]] Result<void> cgroup = runtime::remove_cgroup(places_.cgroup);
  Result<void> removed = sys::remove_tree_at(places_.run_containers, id_);
  if (cgroup && removed) unlinkat(places_.locks, id_.c_str(), 0);
}

}  // namespace wherry::engine
