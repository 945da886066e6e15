// Writes nftables transactions as bytes: tables, chains, maps, rules, elements. Pure:
// sys/nfnetlink.h sends.
//
// Only what our rules need (network/nft_rules.h), family ip. Types and register numbers are those
// that the nft tool itself uses, so that `nft list ruleset` shows our rules as a person would have
// written them. Source: linux/netfilter/nf_tables.h; the nft tool's `--debug=netlink` output.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "sys/netlink.h"

namespace wherry::network {

// The kernel's hook of a base chain.
struct NftHook {
  std::string type;  // "nat"
  uint32_t number = 0;
  int32_t priority = 0;
};

struct NftMap {
  std::string name;
  uint32_t id = 0;  // within the batch
  uint32_t key_type = 0;
  uint32_t key_length = 0;
  uint32_t data_type = 0;
  uint32_t data_length = 0;
};

struct NftElement {
  std::string key;
  std::string data;
};

// nft's own numbers of data types; a concatenation is joined by nft_concat.
inline constexpr uint32_t kNftIpv4Address = 7;
inline constexpr uint32_t kNftProtocol = 12;
inline constexpr uint32_t kNftService = 13;
constexpr uint32_t nft_concat(uint32_t first, uint32_t second) {
  return first << 6 | second;
}

class NftBatch {
 public:
  NftBatch();

  void add_table(std::string_view table, std::string_view comment);
  void delete_table(std::string_view table);
  void add_chain(std::string_view table, std::string_view chain,
                 const std::optional<NftHook>& hook);
  void add_map(std::string_view table, const NftMap& map);
  void add_elements(std::string_view table, std::string_view map,
                    const std::vector<NftElement>& elements);
  // By key. Each must be there: a failed transaction is dear.
  void delete_elements(std::string_view table, std::string_view map,
                       const std::vector<NftElement>& elements);
  void delete_rule(std::string_view table, std::string_view chain, uint64_t handle);

  // Ends the batch.
  std::string finish() &&;

 private:
  friend class NftRule;
  void begin(uint16_t message, uint16_t flags);
  void change_elements(uint16_t message, uint16_t flags, std::string_view table,
                       std::string_view map, const std::vector<NftElement>& elements);
  sys::NetlinkBuffer buffer_;
};

// One rule, while it lives: each call adds an expression, left to right as in nft's language. A
// comparison that does not hold ends the rule.
class NftRule {
 public:
  // Appended to the chain, or put before the rule that has handle `before`.
  NftRule(NftBatch& batch, std::string_view table, std::string_view chain,
          std::string_view comment = {}, std::optional<uint64_t> before = std::nullopt);

  NftRule& input_interface_is(std::string_view name);
  NftRule& input_interface_is_not(std::string_view name);
  NftRule& output_interface_is(std::string_view name);
  NftRule& output_interface_is_not(std::string_view name);
  NftRule& source_in(uint32_t subnet, uint8_t prefix_length);
  NftRule& destination_in(uint32_t subnet, uint8_t prefix_length);
  NftRule& destination_not_loopback();
  NftRule& destination_is_local();  // an address of this host
  NftRule& destination_is_not_local();
  NftRule& destination_was_translated();  // ct status dnat
  // What iptables writes as `-m conntrack --ctstate RELATED,ESTABLISHED,DNAT`: for chains that
  // iptables must still be able to list.
  NftRule& iptables_established_or_translated();

  // Verdicts, last.
  void accept();
  void drop();
  void jump(std::string_view chain);
  void masquerade();
  // Looks up (address .) protocol . port of the destination in `map` and translates to what it
  // holds.
  void translate_by(const NftMap& map, bool with_address);

 private:
  class Expression;
  NftRule& compare_interface(uint32_t key, uint32_t operation, std::string_view name);
  NftRule& compare_destination_type(uint32_t operation, uint32_t type);
  NftRule& compare_network(uint32_t offset, uint32_t subnet, uint8_t prefix_length);
  void payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t reg);
  void meta(uint32_t key, uint32_t reg);
  void compare(uint32_t operation, std::string_view value);
  void mask(std::string_view mask);
  void verdict(int32_t code, std::string_view chain);

  sys::NetlinkBuffer& buffer_;
  std::optional<sys::NetlinkBuffer::Nest> expressions_;
};

// The comment in a table's or a rule's user data, as the nft tool stores it; and back ("" when
// none).
std::string nft_comment(std::string_view text);
std::string parse_nft_comment(std::string_view user_data);

// Requests for sys::nft_get.
void request_table(sys::NetlinkBuffer& buffer, std::string_view table);
void request_all_tables(sys::NetlinkBuffer& buffer);
void request_chain(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view chain);
void request_rules(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view chain);
void request_element(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view map,
                     std::string_view key);

}  // namespace wherry::network
