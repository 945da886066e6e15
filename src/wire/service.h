// wherry-transfer as a server of one registry's repository: requests from a SOCK_SEQPACKET socket,
// many at once, reports back. Returns when the other end closes the socket.
#pragma once

#include "base/result.h"

namespace wherry::wire {

Result<void> serve(int socket);

}  // namespace wherry::wire
