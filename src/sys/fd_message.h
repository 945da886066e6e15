// A descriptor beside bytes over a Unix socket (unix(7), SCM_RIGHTS): one at a time. What passes
// several has its own (wire/service.cc).
#pragma once

#include <span>
#include <string_view>

#include "sys/fd.h"

namespace wherry::sys {

// How many of the bytes went; the descriptor goes with the first of them.
// Never a SIGPIPE. Errors have their errno.
Result<size_t> send_with_fd(int socket, std::string_view bytes, int fd);

struct FdMessage {
  size_t size = 0;  // of the bytes; 0: the other end is closed
  Fd fd;            // empty: none came
};
// Errors have their errno.
Result<FdMessage> receive_with_fd(int socket, std::span<char> bytes);

}  // namespace wherry::sys
