// The launcher's end of a launch: the configuration, and later the permit to start.
//
// Over one stream socket. The monitor works on the configuration while the launcher still does
// what must be done before anything runs. A socket that closes without a permit calls the launch
// off.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::monitor {

// A monitor that has ended meanwhile is no error here: it has said why on the other socket.
void send_document(int socket, std::string_view document);
// nullopt: the socket closed without one.
Result<std::optional<std::string>> receive_document(int socket);

// As above no error when the monitor has ended.
void send_permit(int socket);
// kUnavailable: the launch was called off.
Result<void> receive_permit(int socket);

}  // namespace wherry::monitor
