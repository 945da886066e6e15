// Standby: a monitor that is started before it is known what for.
//
// A program takes a while to be there: exec, its start, a cgroup, a network namespace. Whoever will
// launch a container soon starts its monitor first and looks up the image meanwhile. The monitor
// waits for its configuration on a socket (monitor/permit.h); when that closes without one it ends,
// and takes the container's cgroup back, which it may have made by then; the namespace ends with
// it. Whoever names a cgroup must see to it that it goes when the monitor is killed too.
#pragma once

#include <string>

#include "sys/fd.h"
#include "sys/process.h"

namespace wherry::monitor {

class Standby {
 public:
  struct Options {
    std::string container_id;  // its argument, for who looks at a list of processes
    // Where it lives, e.g. "/wherry/engine", made when missing; empty: where the caller lives. On
    // version 1 it goes there when it has time: with a container's cgroup to make, later.
    std::string engine_cgroup;
    // The container's own, made as far as it can be without its limits; empty: not beforehand.
    std::string container_cgroup;
    bool network_namespace = false;  // the container's, loopback up, made beforehand
  };
  // Own session, fixed environment, cwd /, no inherited fds.
  static Result<Standby> spawn(const Options& options);

  Standby(Standby&&) noexcept = default;
  Standby& operator=(Standby&&) noexcept = default;
  // One that was not launched ends, and is waited for.
  ~Standby();

  const std::string& container_id() const { return container_id_; }
  pid_t pid() const { return spawning_.pid(); }

 private:
  friend class Client;
  Standby(std::string container_id, sys::Spawning spawning, sys::Fd document, sys::Fd socket)
      : container_id_(std::move(container_id)),
        spawning_(std::move(spawning)),
        document_(std::move(document)),
        socket_(std::move(socket)) {}

  std::string container_id_;
  sys::Spawning spawning_;
  sys::Fd document_;  // our end of what monitor/permit.h describes
  sys::Fd socket_;    // the first connection
};

}  // namespace wherry::monitor
