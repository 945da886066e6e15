// The supervisor of one container or one exec session: its whole life as one function.
#pragma once

#include <string>

namespace wherry::monitor {

// wherry-monitor's main work. `config_fd`: the socket of monitor/permit.h; `socket_fd`: the first
// client's end of a SOCK_SEQPACKET pair; the others as in monitor/standby.h. Returns the
// process's exit code. Single-threaded, one event loop.
int run_monitor(int config_fd, int socket_fd, const std::string& engine_cgroup,
                const std::string& container_cgroup);

}  // namespace wherry::monitor
