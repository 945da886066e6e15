#include "network/ports.h"

#include <arpa/inet.h>
#include <netinet/in.h>
#include <sys/socket.h>

#include "sys/fd.h"

namespace wherry::network {
namespace {

bool host_has_ipv6() {
  return static_cast<bool>(sys::Fd(socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0)));
}

// The canonical text of an address; nullopt when it is none.
std::optional<std::string> canonical(const std::string& text) {
  unsigned char raw[sizeof(in6_addr)];
  char out[INET6_ADDRSTRLEN];
  for (int family : {AF_INET, AF_INET6})
    if (inet_pton(family, text.c_str(), raw) == 1)
      return std::string(inet_ntop(family, raw, out, sizeof out));
  return std::nullopt;
}

Result<std::vector<std::string>> host_addresses(const PortRequest& request) {
  if (request.host_ip.empty()) {
    std::vector<std::string> both{"0.0.0.0"};
    if (host_has_ipv6()) both.push_back("::");
    return both;
  }
  std::optional<std::string> address = canonical(request.host_ip);
  if (!address)
    return Error(ErrorKind::kInvalidArgument, "invalid host address '" + request.host_ip + "'");
  return std::vector<std::string>{*address};
}

Result<void> check(const PortRequest& request) {
  if (request.protocol != "tcp" && request.protocol != "udp")
    return Error(ErrorKind::kUnsupported,
                 "ports of protocol '" + request.protocol + "' cannot be published: tcp or udp");
  if (request.container_port == 0)
    return Error(ErrorKind::kInvalidArgument, "container port 0 cannot be published");
  return {};
}

Error conflict(const PortHolder& holder, const std::string& container_id) {
  std::string port = "port " + std::to_string(holder.host_port) + "/" + holder.protocol;
  if (holder.container_id == container_id)
    return Error(ErrorKind::kConflict, port + " is published twice");
  return Error(ErrorKind::kConflict, port + " is already allocated by container '" +
                                         holder.container_id.substr(0, 12) + "'");
}

bool is_free(const Leases& leases, const PortRequest& request,
             const std::vector<std::string>& addresses, uint16_t port) {
  for (const std::string& address : addresses)
    if (find_conflict(leases, request.protocol, address, port) != nullptr ||
        !can_bind(request.protocol, address, port))
      return false;
  return true;
}

Result<uint16_t> choose_port(Leases& leases, const PortRequest& request,
                             const std::vector<std::string>& addresses) {
  uint16_t port = leases.last_port;
  for (int left = kLastFreePort - kFirstFreePort + 1; left > 0; --left) {
    port = port < kFirstFreePort || port >= kLastFreePort ? kFirstFreePort
                                                          : static_cast<uint16_t>(port + 1);
    if (!is_free(leases, request, addresses, port)) continue;
    leases.last_port = port;
    return port;
  }
  return Error(ErrorKind::kResourceExhausted, "no host port is free for container port " +
                                                  std::to_string(request.container_port) + "/" +
                                                  request.protocol);
}

Result<uint16_t> choose_port_of_range(const Leases& leases, const PortRequest& request,
                                      const std::vector<std::string>& addresses) {
  for (uint32_t port = request.host_port; port <= request.host_port_last; ++port)
    if (is_free(leases, request, addresses, static_cast<uint16_t>(port)))
      return static_cast<uint16_t>(port);
  return Error(ErrorKind::kResourceExhausted,
               "no host port of " + std::to_string(request.host_port) + "-" +
                   std::to_string(request.host_port_last) + "/" + request.protocol +
                   " is free for container port " + std::to_string(request.container_port));
}

Result<void> lease_port(Leases& leases, const std::string& container_id, uint32_t container_address,
                        const PortRequest& request) {
  TRY_VOID(check(request));
  TRY(std::vector<std::string> addresses, host_addresses(request));
  uint16_t port = request.host_port;
  if (port == 0) {
    TRY(port, choose_port(leases, request, addresses));
  } else if (request.host_port_last > port) {
    TRY(port, choose_port_of_range(leases, request, addresses));
  } else {
    for (const std::string& address : addresses)
      if (const PortHolder* holder = find_conflict(leases, request.protocol, address, port))
        return conflict(*holder, container_id);
  }
  for (const std::string& address : addresses)
    leases.ports.push_back(
        {container_id, request.protocol, address, port, container_address, request.container_port});
  return {};
}

}  // namespace

bool can_bind(std::string_view protocol, const std::string& host_ip, uint16_t port) {
  sockaddr_storage address{};
  socklen_t length = 0;
  auto* v4 = reinterpret_cast<sockaddr_in*>(&address);
  auto* v6 = reinterpret_cast<sockaddr_in6*>(&address);
  if (inet_pton(AF_INET, host_ip.c_str(), &v4->sin_addr) == 1) {
    v4->sin_family = AF_INET;
    v4->sin_port = htons(port);
    length = sizeof *v4;
  } else if (inet_pton(AF_INET6, host_ip.c_str(), &v6->sin6_addr) == 1) {
    v6->sin6_family = AF_INET6;
    v6->sin6_port = htons(port);
    length = sizeof *v6;
  } else {
    return false;
  }
  bool tcp = protocol == "tcp";
  sys::Fd fd(socket(address.ss_family, (tcp ? SOCK_STREAM : SOCK_DGRAM) | SOCK_CLOEXEC, 0));
  int on = 1;
  if (!fd) return false;
  // As a server binds: TIME_WAIT leftovers do not count. For UDP the option would allow theft
  // instead.
  if (tcp) (void)setsockopt(fd.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  if (address.ss_family == AF_INET6)
    (void)setsockopt(fd.get(), IPPROTO_IPV6, IPV6_V6ONLY, &on, sizeof on);
  if (bind(fd.get(), reinterpret_cast<sockaddr*>(&address), length) != 0) return false;
  return !tcp || listen(fd.get(), 1) == 0;
}

Result<void> lease_ports(Leases& leases, const std::string& container_id,
                         uint32_t container_address, const std::vector<PortRequest>& requests) {
  size_t before = leases.ports.size();
  uint16_t last_port = leases.last_port;
  for (const PortRequest& request : requests) {
    Result<void> done = lease_port(leases, container_id, container_address, request);
    if (done) continue;
    leases.ports.resize(before);
    leases.last_port = last_port;
    return done;
  }
  return {};
}

}  // namespace wherry::network
