// NOTIFY_SOCKET of sd_notify(3): a socket in the container's state folder, which the container sees
// as /run/notify/notify.sock, and whose "ready" is passed on to the host's socket.
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "ocicli/container_dir.h"
#include "sys/fd.h"

namespace wherry::ocicli {

// At create: the folder that is bound into the container.
Result<void> make_notify_folder(const ContainerDir& dir);

// At start, before the program runs: the socket, made anew.
Result<sys::Fd> bind_notify_socket(const ContainerDir& dir);

// Waits until the container says READY=1 and passes that on with MAINPID, or until it has ended.
Result<void> relay_ready(int socket, int init_pidfd, pid_t init, const std::string& host_socket);

// The lines of one notification that may be passed on: READY=1. Pure.
bool says_ready(std::string_view message);

}  // namespace wherry::ocicli
