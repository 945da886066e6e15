// What is made for a container before anything is known of it but its id: its lock, its run
// directory, and its monitor on standby, which makes its cgroup and network namespace
// (monitor/standby.h).
//
// The run directory comes first, with its marker: after a kill recovery takes everything back by
// it, as after a kill at any later point of `run`. An object that is not used takes it back itself.
#pragma once

#include <functional>
#include <optional>
#include <string>

#include "engine/local.h"
#include "monitor/standby.h"
#include "sys/lock.h"

namespace wherry::engine {

class Advance {
 public:
  struct Places {
    int run_containers = -1;  // both outlive the object
    int locks = -1;
    std::string cgroup;  // the container's
  };
  using Spawn = std::function<Result<monitor::Standby>()>;
  static Result<Advance> make(std::string id, Places places, const Spawn& spawn);

  Advance(Advance&& other) noexcept;
  Advance& operator=(Advance&&) = delete;
  ~Advance();

  const std::string& id() const { return id_; }

  // From now on the caller takes back what must be.
  struct Parts {
    sys::FileLock lock;
    sys::Fd run_dir;
    monitor::Standby standby;
  };
  Parts use() &&;

 private:
  Advance(std::string id, Places places, sys::FileLock lock)
      : id_(std::move(id)), places_(std::move(places)), lock_(std::move(lock)) {}

  std::string id_;
  Places places_;
  std::optional<sys::FileLock> lock_;  // empty: used, or moved from
  sys::Fd run_dir_;
  std::optional<monitor::Standby> standby_;
};

}  // namespace wherry::engine
