#include "network/address.h"

#include <arpa/inet.h>

#include "base/text.h"

namespace wherry::network {
namespace {

constexpr uint32_t kFirst16 = 172u << 24 | 17u << 16;
constexpr uint32_t kLast16 = 172u << 24 | 31u << 16;
constexpr uint32_t kFirst20 = 192u << 24 | 168u << 16;
constexpr uint32_t kLast20 = kFirst20 | 240u << 8;

uint32_t mask_of(uint8_t prefix_length) {
  return prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - prefix_length);
}

}  // namespace

std::string format_address(uint32_t address) {
  in_addr raw{htonl(address)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &raw, text, sizeof text);
}

std::string format_subnet(uint32_t address, uint8_t prefix_length) {
  return format_address(address) + "/" + std::to_string(prefix_length);
}

std::optional<uint32_t> parse_address(std::string_view text) {
  in_addr raw{};
  if (inet_pton(AF_INET, std::string(text).c_str(), &raw) != 1) return std::nullopt;
  if (text.find('\0') != text.npos) return std::nullopt;
  return ntohl(raw.s_addr);
}

std::optional<Subnet> parse_subnet(std::string_view text) {
  auto [address_text, length_text] = split_once(text, '/');
  std::optional<uint32_t> address = parse_address(address_text);
  if (!address || !length_text) return std::nullopt;
  std::optional<uint64_t> length = parse_u64(*length_text);
  if (!length || *length > 32) return std::nullopt;
  Subnet subnet{*address, static_cast<uint8_t>(*length)};
  if ((subnet.address & ~mask_of(subnet.prefix_length)) != 0) return std::nullopt;
  return subnet;
}

bool overlaps(const Subnet& subnet, const std::vector<sys::Route>& routes) {
  for (const sys::Route& route : routes) {
    if (route.prefix_length <= 1) continue;
    uint32_t shared = mask_of(std::min(subnet.prefix_length, route.prefix_length));
    if ((subnet.address & shared) == (route.destination & shared)) return true;
  }
  return false;
}

std::optional<Subnet> choose_subnet(const std::vector<sys::Route>& routes) {
  for (uint32_t address = kFirst16; address <= kLast16; address += 1u << 16)
    if (Subnet subnet{address, 16}; !overlaps(subnet, routes)) return subnet;
  for (uint32_t address = kFirst20; address <= kLast20; address += 16u << 8)
    if (Subnet subnet{address, 20}; !overlaps(subnet, routes)) return subnet;
  return std::nullopt;
}

}  // namespace wherry::network
