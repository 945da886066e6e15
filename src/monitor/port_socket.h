// Host addresses and sockets of published ports: parse, bind, listen. No relaying here.
#pragma once

#include <netinet/in.h>
#include <sys/socket.h>

#include <optional>
#include <string>

#include "monitor/config.h"
#include "sys/fd.h"

namespace wherry::monitor {

// An IPv4 or IPv6 socket address with its length. Compared bytewise: always made from zeroed
// memory.
struct SocketAddress {
  sockaddr_storage storage{};
  socklen_t length = 0;

  const sockaddr* get() const { return reinterpret_cast<const sockaddr*>(&storage); }
  sockaddr* get() { return reinterpret_cast<sockaddr*>(&storage); }
  int family() const { return storage.ss_family; }
  std::string key() const { return std::string(reinterpret_cast<const char*>(&storage), length); }
};

// `ip`: "0.0.0.0", "::", or one address; anything else is kInvalidArgument.
Result<SocketAddress> socket_address(const std::string& ip, uint16_t port);
SocketAddress container_address(const PublishedPort& port);

// Holds the host port: a listening TCP socket, or a bound UDP socket that tells which of our
// addresses a datagram came to. Nonblocking. In use: kConflict "Bind for 0.0.0.0:8080 failed: port
// is already allocated". nullopt: "::" on a host without IPv6.
Result<std::optional<sys::Fd>> bind_port(const PublishedPort& port);

}  // namespace wherry::monitor
