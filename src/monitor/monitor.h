// The supervisor of one container or one exec session: its whole life as one function.
#pragma once

namespace wherry::monitor {

// wherry-monitor's main work. `config_fd`: the JSON document; `socket_fd`: the first client's end
// of a SOCK_SEQPACKET pair. Returns the process's exit code. Single-threaded, one event loop.
int run_monitor(int config_fd, int socket_fd);

}  // namespace wherry::monitor
