#include "monitor/port_socket.h"

#include <arpa/inet.h>

#include <cerrno>

namespace wherry::monitor {
namespace {

constexpr int kBacklog = 1024;

std::string shown(const PublishedPort& port) {
  bool v6 = port.host_ip.find(':') != std::string::npos;
  return (v6 ? "[" + port.host_ip + "]" : port.host_ip) + ":" + std::to_string(port.host_port);
}

Result<void> set_option(int fd, int level, int option) {
  int on = 1;
  if (setsockopt(fd, level, option, &on, sizeof on) != 0)
    return Error::from_errno(errno, "cannot set a socket option");
  return {};
}

Result<void> configure(int fd, bool v6, bool tcp) {
  // IPv4 has a socket of its own.
  if (v6) TRY_VOID(set_option(fd, IPPROTO_IPV6, IPV6_V6ONLY));
  // Lets a port be taken again while old connections linger. Not for UDP: two could hold one port.
  if (tcp) return set_option(fd, SOL_SOCKET, SO_REUSEADDR);
  if (v6) return set_option(fd, IPPROTO_IPV6, IPV6_RECVPKTINFO);
  return set_option(fd, IPPROTO_IP, IP_PKTINFO);
}

}  // namespace

Result<SocketAddress> socket_address(const std::string& ip, uint16_t port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address.storage);
  if (inet_pton(AF_INET, ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    address.length = sizeof *v4;
    return address;
  }
  address = SocketAddress();
  if (inet_pton(AF_INET6, ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    address.length = sizeof *v6;
    return address;
  }
  return Error(ErrorKind::kInvalidArgument, "'" + ip + "' is not an IP address");
}

SocketAddress container_address(const PublishedPort& port) {
  SocketAddress address;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address.storage);
  v4->sin_family = AF_INET;
  v4->sin_port = htons(port.container_port);
  v4->sin_addr.s_addr = htonl(port.container_address);
  address.length = sizeof *v4;
  return address;
}

Result<std::optional<sys::Fd>> bind_port(const PublishedPort& port) {
  std::string context = "cannot publish '" + shown(port) + "/" + port.protocol + "'";
  TRY_CTX(SocketAddress address, socket_address(port.host_ip, port.host_port), context);
  bool tcp = port.protocol == "tcp";
  bool v6 = address.family() == AF_INET6;
  int type = (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC | SOCK_NONBLOCK;
  sys::Fd socket(::socket(address.family(), type, 0));
  if (!socket && errno == EAFNOSUPPORT && port.host_ip == "::") return std::optional<sys::Fd>();
  if (!socket) return Error::from_errno(errno, context);
  TRY_VOID_CTX(configure(socket.get(), v6, tcp), context);
  // Two sockets may be bound to one port with SO_REUSEADDR until one listens: listen() decides,
  // too.
  bool held = bind(socket.get(), address.get(), address.length) == 0 &&
              (!tcp || listen(socket.get(), kBacklog) == 0);
  if (held) return std::optional<sys::Fd>(std::move(socket));
  if (errno == EADDRINUSE)
    return Error(ErrorKind::kConflict,
                 "Bind for " + shown(port) + " failed: port is already allocated")
        .set_errnum(EADDRINUSE)
        .set_hint("stop what uses the port, or publish another one with -p");
  return Error::from_errno(errno, context);
}

}  // namespace wherry::monitor
