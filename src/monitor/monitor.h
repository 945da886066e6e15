// The supervisor of one container or one exec session: its whole life as one function.
#pragma once

#include <string>

namespace wherry::monitor {

// As in Standby::Options (monitor/standby.h).
struct Beforehand {
  std::string engine_cgroup;
  std::string container_cgroup;
  bool network_namespace = false;
};

// wherry-monitor's main work. `config_fd`: the socket of monitor/permit.h; `socket_fd`: the first
// client's end of a SOCK_SEQPACKET pair. Returns the process's exit code. Single-threaded, one
// event loop.
int run_monitor(int config_fd, int socket_fd, const Beforehand& beforehand);

}  // namespace wherry::monitor
