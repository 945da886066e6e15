// -p: Docker's grammar of published ports.
#include <arpa/inet.h>
#include <fmt/format.h>

#include "base/text.h"
#include "cli/run_request.h"

namespace wherry::cli {
namespace {

struct Range {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t count() const { return last - first + 1; }
};

Error invalid(std::string text) {
  return Error(ErrorKind::kInvalidArgument, std::move(text));
}

std::optional<Range> parse_range(std::string_view text) {
  auto [first, last] = split_once(text, '-');
  auto begin = parse_u64(first);
  auto end = last ? parse_u64(*last) : begin;
  if (!begin || !end || *begin > 65535 || *end > 65535 || *end < *begin) return std::nullopt;
  return Range{*begin, *end};
}

struct Parts {
  std::string ip;
  std::string_view host;
  std::string_view container;
};

// "ip:host:container" with the ip possibly in brackets.
Result<Parts> split_parts(std::string_view text, std::string_view whole) {
  Parts parts;
  std::string_view rest = text;
  if (rest.starts_with('[')) {
    size_t close = rest.find(']');
    if (close == rest.npos || close + 1 >= rest.size() || rest[close + 1] != ':')
      return invalid(fmt::format("invalid port specification: '{}'", whole));
    parts.ip = std::string(rest.substr(1, close - 1));
    rest.remove_prefix(close + 2);
    if (rest.find(':') == rest.npos)
      return invalid(fmt::format("invalid port specification: '{}'", whole));
  }
  size_t last = rest.rfind(':');
  parts.container = last == rest.npos ? rest : rest.substr(last + 1);
  std::string_view before = last == rest.npos ? std::string_view() : rest.substr(0, last);
  size_t middle = before.rfind(':');
  parts.host = middle == before.npos ? before : before.substr(middle + 1);
  if (middle != before.npos) {
    if (!parts.ip.empty()) return invalid(fmt::format("invalid port specification: '{}'", whole));
    parts.ip = std::string(before.substr(0, middle));
  }
  return parts;
}

Result<void> check_address(const std::string& ip) {
  in6_addr address{};
  if (ip.empty() || inet_pton(AF_INET, ip.c_str(), &address) == 1 ||
      inet_pton(AF_INET6, ip.c_str(), &address) == 1)
    return {};
  return invalid(fmt::format("invalid IP address: {}", ip));
}

}  // namespace

Result<void> add_published_port(engine::PortMap& map, std::string_view text) {
  auto [address, protocol_part] = split_once(text, '/');
  std::string protocol = protocol_part ? to_lower(*protocol_part) : "tcp";
  if (protocol == "sctp")
    return Error(ErrorKind::kUnsupported,
                 fmt::format("cannot publish '{}': sctp is not supported yet", text));
  if (protocol != "tcp" && protocol != "udp")
    return invalid(fmt::format("invalid proto: {}", protocol));
  TRY(Parts parts, split_parts(address, text));
  TRY_VOID(check_address(parts.ip));
  if (parts.container.empty()) return invalid(fmt::format("no port specified: {}<empty>", text));
  auto container = parse_range(parts.container);
  if (!container || container->first == 0)
    return invalid(fmt::format("invalid containerPort: {}", parts.container));
  std::optional<Range> host;
  if (!parts.host.empty()) {
    host = parse_range(parts.host);
    if (!host) return invalid(fmt::format("invalid hostPort: {}", parts.host));
    if (host->count() != container->count() && container->count() == 1) {
      // One of them, as is free.
      map[fmt::format("{}/{}", container->first, protocol)].push_back(
          {.host_ip = parts.ip, .host_port = std::string(parts.host)});
      return {};
    }
    if (host->count() != container->count())
      return invalid(fmt::format("invalid ranges specified for container and host Ports: {} and {}",
                                 parts.container, parts.host));
  }
  for (uint64_t i = 0; i < container->count(); ++i) {
    engine::PortBinding binding;
    binding.host_ip = parts.ip;
    // Port 0 on the host means, as in Docker: choose one.
    if (host && host->first + i != 0) binding.host_port = std::to_string(host->first + i);
    map[fmt::format("{}/{}", container->first + i, protocol)].push_back(std::move(binding));
  }
  return {};
}

}  // namespace wherry::cli
