#include "engine/ports.h"

#include <arpa/inet.h>

#include "base/text.h"

namespace wherry::engine {
namespace {

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

bool is_address(const std::string& text) {
  unsigned char bytes[16];
  return inet_pton(AF_INET, text.c_str(), bytes) == 1 ||
         inet_pton(AF_INET6, text.c_str(), bytes) == 1;
}

}  // namespace

Result<std::pair<uint16_t, std::string>> parse_port(std::string_view text) {
  auto [number, protocol] = split_once(text, '/');
  auto port = parse_u64(number);
  if (!port || *port == 0 || *port > 65535)
    return invalid("invalid port '" + std::string(text.substr(0, 64)) + "'");
  std::string name = protocol ? to_lower(*protocol) : "tcp";
  if (name == "sctp")
    return Error(ErrorKind::kUnsupported, "cannot publish '" + std::string(text) +
                                              "': only tcp and udp ports are supported");
  if (name != "tcp" && name != "udp")
    return invalid("invalid protocol in port '" + std::string(text.substr(0, 64)) + "'");
  return std::pair(static_cast<uint16_t>(*port), name);
}

Result<std::vector<network::PortRequest>> port_requests(const PortMap& bindings,
                                                        const std::string& default_address) {
  std::vector<network::PortRequest> requests;
  for (const auto& [container_port, hosts] : bindings) {
    TRY(auto parsed, parse_port(container_port));
    for (const PortBinding& host : hosts) {
      network::PortRequest request;
      request.container_port = parsed.first;
      request.protocol = parsed.second;
      request.host_ip = host.host_ip;
      if (request.host_ip.empty() && default_address != "0.0.0.0")
        request.host_ip = default_address;
      if (!request.host_ip.empty() && !is_address(request.host_ip))
        return invalid("invalid host address '" + request.host_ip + "' for port " + container_port);
      if (!host.host_port.empty()) {
        auto [first, last] = split_once(host.host_port, '-');
        auto port = parse_u64(first);
        auto end = last ? parse_u64(*last) : port;
        if (!port || !end || *end > 65535 || *end < *port || (last && *port == 0))
          return invalid("invalid host port '" + host.host_port + "' for port " + container_port);
        request.host_port = static_cast<uint16_t>(*port);
        if (*end > *port) request.host_port_last = static_cast<uint16_t>(*end);
      }
      requests.push_back(std::move(request));
    }
  }
  return requests;
}

PortMap bound_ports(const std::vector<network::PortLease>& leases,
                    const std::vector<std::string>& exposed) {
  PortMap ports;
  for (const std::string& port : exposed) ports[port.contains('/') ? port : port + "/tcp"];
  for (const network::PortLease& lease : leases)
    ports[std::to_string(lease.container_port) + "/" + lease.protocol].push_back(
        {lease.host_ip, std::to_string(lease.host_port)});
  return ports;
}

std::vector<monitor::PublishedPort> published_ports(const network::Attachment& attachment) {
  std::vector<monitor::PublishedPort> ports;
  for (const network::PortLease& lease : attachment.ports)
    ports.push_back({.protocol = lease.protocol,
                     .host_ip = lease.host_ip,
                     .host_port = lease.host_port,
                     .container_address = attachment.link.address,
                     .container_port = lease.container_port});
  return ports;
}

}  // namespace wherry::engine
