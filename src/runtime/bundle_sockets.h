// The sockets around a container of a bundle: the one its init waits on for the start, and those of
// the caller that get a terminal, a pidfd or a seccomp listener. Paths may be longer than a socket
// address: every socket is reached through a fd of its directory.
#pragma once

#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

// `state_dir`/start.sock, listening, close-on-exec, 0600.
Result<sys::Fd> make_start_socket(const std::string& state_dir);
// A connection to it; kConflict when nobody waits there.
Result<sys::Fd> connect_start_socket(const std::string& state_dir);
// Gone is fine.
void remove_start_socket(const std::string& state_dir);

// Connects to the listening stream socket at `path` and sends `fd` with `text` in one message.
Result<void> send_fd_to(const std::string& path, int fd, const std::string& text);

}  // namespace wherry::runtime
