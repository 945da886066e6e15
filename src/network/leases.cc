#include "network/leases.h"

#include <algorithm>
#include <set>

#include "base/text.h"
#include "network/address.h"

namespace wherry::network {
namespace {

constexpr std::string_view kHeader = "wherry leases 1";
constexpr std::string_view kEnd = "end";
constexpr size_t kMaxLines = 200'000;
constexpr size_t kMaxWord = 255;

using Words = std::vector<std::string_view>;

bool is_ipv6(std::string_view address) {
  return address.find(':') != address.npos;
}
bool is_wildcard(std::string_view address) {
  return address == "0.0.0.0" || address == "::";
}

std::optional<uint16_t> parse_port(std::string_view text) {
  std::optional<uint64_t> number = parse_u64(text);
  if (!number || *number == 0 || *number > 65535) return std::nullopt;
  return static_cast<uint16_t>(*number);
}

bool read_address(const Words& words, Leases& leases) {
  if (words.size() != 4) return false;
  std::optional<uint32_t> address = parse_address(words[3]);
  if (!address) return false;
  leases.addresses.push_back({std::string(words[1]), std::string(words[2]), *address});
  return true;
}

bool read_port(const Words& words, Leases& leases) {
  if (words.size() != 7 || (words[2] != "tcp" && words[2] != "udp")) return false;
  std::optional<uint16_t> host_port = parse_port(words[4]);
  std::optional<uint32_t> address = parse_address(words[5]);
  std::optional<uint16_t> container_port = parse_port(words[6]);
  bool known_host = is_ipv6(words[3]) || parse_address(words[3]);
  if (!host_port || !address || !container_port || !known_host) return false;
  leases.ports.push_back({std::string(words[1]), std::string(words[2]), std::string(words[3]),
                          *host_port, *address, *container_port});
  return true;
}

bool read_resting(const Words& words, Leases& leases) {
  if (words.size() != 4) return false;
  std::optional<uint32_t> address = parse_address(words[2]);
  std::optional<int64_t> since = parse_i64(words[3]);
  if (!address || !since) return false;
  leases.resting.push_back({std::string(words[1]), *address, *since});
  return true;
}

bool read_last(const Words& words, Leases& leases) {
  if (words[0] == "last-port") {
    std::optional<uint16_t> port = words.size() == 2 ? parse_port(words[1]) : std::nullopt;
    if (port) leases.last_port = *port;
    return port.has_value();
  }
  std::optional<uint32_t> address = words.size() == 3 ? parse_address(words[2]) : std::nullopt;
  if (address) leases.last_address[std::string(words[1])] = *address;
  return address.has_value();
}

bool read_line(std::string_view line, Leases& leases) {
  Words words = split(line, ' ');
  for (std::string_view word : words)
    if (word.empty() || word.size() > kMaxWord) return false;
  if (words[0] == "address") return read_address(words, leases);
  if (words[0] == "port") return read_port(words, leases);
  if (words[0] == "resting") return read_resting(words, leases);
  if (words[0] == "last-port" || words[0] == "last-address") return read_last(words, leases);
  return false;
}

Error corrupt_line(size_t number) {
  return Error(ErrorKind::kCorrupt, "line " + std::to_string(number) + " is malformed");
}

}  // namespace

Result<Leases> parse_leases(std::string_view text) {
  Leases leases;
  leases.last_port = kLastFreePort;
  size_t number = 0;
  while (!text.empty()) {
    size_t length = text.find('\n');
    if (length == text.npos || ++number > kMaxLines) return corrupt_line(number);
    std::string_view line = text.substr(0, length);
    text.remove_prefix(length + 1);
    if (number == 1) {
      if (line != kHeader) return corrupt_line(number);
    } else if (line == kEnd) {
      if (!text.empty()) return corrupt_line(number + 1);
      return leases;
    } else if (!read_line(line, leases)) {
      return corrupt_line(number);
    }
  }
  return Error(ErrorKind::kCorrupt, "the closing line is missing");
}

std::string format_leases(const Leases& leases) {
  std::string text(kHeader);
  auto line = [&text](std::initializer_list<std::string_view> words) {
    text += '\n';
    bool first = true;
    for (std::string_view word : words) {
      if (!first) text += ' ';
      first = false;
      text += word;
    }
  };
  for (const AddressLease& each : leases.addresses)
    line({"address", each.container_id, each.network, format_address(each.address)});
  for (const PortHolder& each : leases.ports)
    line({"port", each.container_id, each.protocol, each.host_ip, std::to_string(each.host_port),
          format_address(each.container_address), std::to_string(each.container_port)});
  for (const RestingAddress& each : leases.resting)
    line({"resting", each.network, format_address(each.address), std::to_string(each.released_ns)});
  for (const auto& [network, address] : leases.last_address)
    line({"last-address", network, format_address(address)});
  line({"last-port", std::to_string(leases.last_port)});
  line({kEnd});
  text += '\n';
  return text;
}

Result<uint32_t> lease_address(Leases& leases, const std::string& container_id,
                               const std::string& network, uint32_t subnet, uint8_t prefix_length,
                               uint32_t gateway, int64_t now_ns) {
  std::erase_if(leases.resting, [&](const RestingAddress& each) {
    return each.released_ns > now_ns || now_ns - each.released_ns >= kQuarantineNs;
  });
  std::set<uint32_t> taken{gateway};
  for (const AddressLease& each : leases.addresses)
    if (each.network == network) taken.insert(each.address);
  if (taken.size() > kMaxAddressesPerBridge)
    return Error(ErrorKind::kResourceExhausted, "network '" + network + "' is full: a bridge has " +
                                                    std::to_string(kMaxAddressesPerBridge) +
                                                    " ports");
  uint32_t first = subnet + 1;
  uint32_t last = (subnet | (prefix_length == 0 ? ~0u : 0xFFFFFFFFu >> prefix_length)) - 1;
  uint32_t begin = first;
  if (auto known = leases.last_address.find(network); known != leases.last_address.end())
    if (known->second >= first && known->second < last) begin = known->second + 1;
  // Second choice: what rests longest.
  std::optional<RestingAddress> fallback;
  auto resting_entry = [&](uint32_t address) -> const RestingAddress* {
    for (const RestingAddress& each : leases.resting)
      if (each.network == network && each.address == address) return &each;
    return nullptr;
  };
  std::optional<uint32_t> chosen;
  uint32_t address = begin;
  for (uint64_t left = uint64_t{last} - first + 1; left > 0 && !chosen; --left) {
    if (!taken.contains(address)) {
      const RestingAddress* resting = resting_entry(address);
      if (resting == nullptr)
        chosen = address;
      else if (!fallback || resting->released_ns < fallback->released_ns)
        fallback = *resting;
    }
    address = address == last ? first : address + 1;
  }
  if (!chosen && fallback) chosen = fallback->address;
  if (!chosen)
    return Error(ErrorKind::kResourceExhausted, "network '" + network + "' has no free address");
  leases.last_address[network] = *chosen;
  leases.addresses.push_back({container_id, network, *chosen});
  return *chosen;
}

const PortHolder* find_conflict(const Leases& leases, std::string_view protocol,
                                std::string_view host_ip, uint16_t host_port) {
  for (const PortHolder& held : leases.ports) {
    if (held.host_port != host_port || held.protocol != protocol) continue;
    if (held.host_ip == host_ip) return &held;
    if (is_ipv6(held.host_ip) != is_ipv6(host_ip)) continue;
    if (is_wildcard(held.host_ip) || is_wildcard(host_ip)) return &held;
  }
  return nullptr;
}

bool drop_container(Leases& leases, const std::string& container_id, int64_t now_ns) {
  size_t before = leases.addresses.size() + leases.ports.size();
  for (const AddressLease& each : leases.addresses)
    if (each.container_id == container_id)
      leases.resting.push_back({each.network, each.address, now_ns});
  std::erase_if(leases.addresses, [&](const auto& e) { return e.container_id == container_id; });
  std::erase_if(leases.ports, [&](const auto& e) { return e.container_id == container_id; });
  return leases.addresses.size() + leases.ports.size() != before;
}

std::vector<PortElement> port_elements(const std::vector<PortHolder>& ports) {
  std::vector<PortElement> elements;
  for (const PortHolder& port : ports) {
    std::optional<uint32_t> host = parse_address(port.host_ip);
    if (!host || *host >> 24 == 127) continue;
    elements.push_back({port.protocol == "udp", *host, port.host_port, port.container_address,
                        port.container_port});
  }
  return elements;
}

}  // namespace wherry::network
