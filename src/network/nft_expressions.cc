// The expressions of a rule. A rule is a program for the kernel's small register machine: load into
// a register, compare or look up, decide.
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_conntrack_common.h>
#include <linux/netfilter/nf_nat.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nf_tables_compat.h>
#include <linux/netfilter/xt_conntrack.h>
#include <linux/rtnetlink.h>
#include <net/if.h>

#include "network/nft_batch.h"

namespace wherry::network {
namespace {

using Nest = sys::NetlinkBuffer::Nest;

// A 16-byte register, and the 4-byte ones it consists of: the fields of a key lie one after the
// other.
constexpr uint32_t kRegister = NFT_REG_1;
constexpr uint32_t kWord[3] = {NFT_REG32_00, NFT_REG32_01, NFT_REG32_02};

constexpr uint32_t kIpSource = 12;  // offsets in the IPv4 header
constexpr uint32_t kIpDestination = 16;
constexpr uint32_t kPortDestination = 2;  // in the TCP and the UDP header
constexpr uint32_t kPortLength = 2;
constexpr uint32_t kAddressLength = 4;

std::string big_endian(uint32_t value) {
  uint32_t raw = htonl(value);
  return {reinterpret_cast<const char*>(&raw), sizeof raw};
}

std::string host_endian(uint32_t value) {
  return {reinterpret_cast<const char*>(&value), sizeof value};
}

std::string padded_name(std::string_view name) {
  std::string padded(name.substr(0, IFNAMSIZ - 1));
  padded.resize(IFNAMSIZ);
  return padded;
}

}  // namespace

class NftRule::Expression {
 public:
  Expression(sys::NetlinkBuffer& buffer, std::string_view name) : element_(buffer, NFTA_LIST_ELEM) {
    buffer.put_string(NFTA_EXPR_NAME, name);
    data_.emplace(buffer, static_cast<uint16_t>(NFTA_EXPR_DATA));
  }

 private:
  Nest element_;
  std::optional<Nest> data_;  // closes first
};

NftRule::NftRule(NftBatch& batch, std::string_view table, std::string_view chain,
                 std::string_view comment, std::optional<uint64_t> before)
    : buffer_(batch.buffer_) {
  batch.begin(NFT_MSG_NEWRULE, static_cast<uint16_t>(NLM_F_CREATE | (before ? 0 : NLM_F_APPEND)));
  buffer_.put_string(NFTA_RULE_TABLE, table);
  buffer_.put_string(NFTA_RULE_CHAIN, chain);
  if (before) buffer_.put_u64_be(NFTA_RULE_POSITION, *before);
  if (!comment.empty()) buffer_.put(NFTA_RULE_USERDATA, nft_comment(comment));
  expressions_.emplace(buffer_, static_cast<uint16_t>(NFTA_RULE_EXPRESSIONS));
}

void NftRule::payload(uint32_t base, uint32_t offset, uint32_t length, uint32_t reg) {
  Expression expression(buffer_, "payload");
  buffer_.put_u32_be(NFTA_PAYLOAD_DREG, reg);
  buffer_.put_u32_be(NFTA_PAYLOAD_BASE, base);
  buffer_.put_u32_be(NFTA_PAYLOAD_OFFSET, offset);
  buffer_.put_u32_be(NFTA_PAYLOAD_LEN, length);
}

void NftRule::meta(uint32_t key, uint32_t reg) {
  Expression expression(buffer_, "meta");
  buffer_.put_u32_be(NFTA_META_DREG, reg);
  buffer_.put_u32_be(NFTA_META_KEY, key);
}

void NftRule::compare(uint32_t operation, std::string_view value) {
  Expression expression(buffer_, "cmp");
  buffer_.put_u32_be(NFTA_CMP_SREG, kRegister);
  buffer_.put_u32_be(NFTA_CMP_OP, operation);
  Nest data(buffer_, NFTA_CMP_DATA);
  buffer_.put(NFTA_DATA_VALUE, value);
}

void NftRule::mask(std::string_view mask) {
  Expression expression(buffer_, "bitwise");
  buffer_.put_u32_be(NFTA_BITWISE_SREG, kRegister);
  buffer_.put_u32_be(NFTA_BITWISE_DREG, kRegister);
  buffer_.put_u32_be(NFTA_BITWISE_LEN, static_cast<uint32_t>(mask.size()));
  {
    Nest nest(buffer_, NFTA_BITWISE_MASK);
    buffer_.put(NFTA_DATA_VALUE, mask);
  }
  Nest nest(buffer_, NFTA_BITWISE_XOR);
  buffer_.put(NFTA_DATA_VALUE, std::string(mask.size(), '\0'));
}

NftRule& NftRule::compare_interface(uint32_t key, uint32_t operation, std::string_view name) {
  meta(key, kRegister);
  compare(operation, padded_name(name));
  return *this;
}

NftRule& NftRule::input_interface_is(std::string_view name) {
  return compare_interface(NFT_META_IIFNAME, NFT_CMP_EQ, name);
}
NftRule& NftRule::input_interface_is_not(std::string_view name) {
  return compare_interface(NFT_META_IIFNAME, NFT_CMP_NEQ, name);
}
NftRule& NftRule::output_interface_is(std::string_view name) {
  return compare_interface(NFT_META_OIFNAME, NFT_CMP_EQ, name);
}
NftRule& NftRule::output_interface_is_not(std::string_view name) {
  return compare_interface(NFT_META_OIFNAME, NFT_CMP_NEQ, name);
}

NftRule& NftRule::compare_network(uint32_t offset, uint32_t subnet, uint8_t prefix_length) {
  uint32_t bits = prefix_length == 0 ? 0 : ~uint32_t{0} << (32 - prefix_length);
  payload(NFT_PAYLOAD_NETWORK_HEADER, offset, kAddressLength, kRegister);
  mask(big_endian(bits));
  compare(NFT_CMP_EQ, big_endian(subnet & bits));
  return *this;
}

NftRule& NftRule::source_in(uint32_t subnet, uint8_t prefix_length) {
  return compare_network(kIpSource, subnet, prefix_length);
}
NftRule& NftRule::destination_in(uint32_t subnet, uint8_t prefix_length) {
  return compare_network(kIpDestination, subnet, prefix_length);
}

NftRule& NftRule::destination_not_loopback() {
  payload(NFT_PAYLOAD_NETWORK_HEADER, kIpDestination, 1, kRegister);
  compare(NFT_CMP_NEQ, "\x7f");
  return *this;
}

NftRule& NftRule::compare_destination_type(uint32_t operation, uint32_t type) {
  {
    Expression expression(buffer_, "fib");
    buffer_.put_u32_be(NFTA_FIB_DREG, kRegister);
    buffer_.put_u32_be(NFTA_FIB_RESULT, NFT_FIB_RESULT_ADDRTYPE);
    buffer_.put_u32_be(NFTA_FIB_FLAGS, NFTA_FIB_F_DADDR);
  }
  compare(operation, host_endian(type));
  return *this;
}
NftRule& NftRule::destination_is_local() {
  return compare_destination_type(NFT_CMP_EQ, RTN_LOCAL);
}
NftRule& NftRule::destination_is_not_local() {
  return compare_destination_type(NFT_CMP_NEQ, RTN_LOCAL);
}

NftRule& NftRule::destination_was_translated() {
  {
    Expression expression(buffer_, "ct");
    buffer_.put_u32_be(NFTA_CT_DREG, kRegister);
    buffer_.put_u32_be(NFTA_CT_KEY, NFT_CT_STATUS);
  }
  mask(host_endian(IPS_DST_NAT));
  compare(NFT_CMP_NEQ, host_endian(0));
  return *this;
}

NftRule& NftRule::iptables_established_or_translated() {
  xt_conntrack_mtinfo3 info{};
  info.match_flags = XT_CONNTRACK_STATE;
  info.state_mask = XT_CONNTRACK_STATE_BIT(IP_CT_RELATED) |
                    XT_CONNTRACK_STATE_BIT(IP_CT_ESTABLISHED) | XT_CONNTRACK_STATE_DNAT;
  Expression expression(buffer_, "match");
  buffer_.put_string(NFTA_MATCH_NAME, "conntrack");
  buffer_.put_u32_be(NFTA_MATCH_REV, 3);
  buffer_.put(NFTA_MATCH_INFO, {reinterpret_cast<const char*>(&info), sizeof info});
  return *this;
}

void NftRule::verdict(int32_t code, std::string_view chain) {
  Expression expression(buffer_, "immediate");
  buffer_.put_u32_be(NFTA_IMMEDIATE_DREG, NFT_REG_VERDICT);
  Nest data(buffer_, NFTA_IMMEDIATE_DATA);
  Nest nest(buffer_, NFTA_DATA_VERDICT);
  buffer_.put_u32_be(NFTA_VERDICT_CODE, static_cast<uint32_t>(code));
  if (!chain.empty()) buffer_.put_string(NFTA_VERDICT_CHAIN, chain);
}

void NftRule::accept() {
  verdict(NF_ACCEPT, {});
}
void NftRule::drop() {
  verdict(NF_DROP, {});
}
void NftRule::jump(std::string_view chain) {
  verdict(NFT_JUMP, chain);
}
void NftRule::masquerade() {
  Expression expression(buffer_, "masq");
}

void NftRule::translate_by(const NftMap& map, bool with_address) {
  size_t field = 0;
  if (with_address)
    payload(NFT_PAYLOAD_NETWORK_HEADER, kIpDestination, kAddressLength, kWord[field++]);
  meta(NFT_META_L4PROTO, kWord[field++]);
  payload(NFT_PAYLOAD_TRANSPORT_HEADER, kPortDestination, kPortLength, kWord[field]);
  {
    Expression expression(buffer_, "lookup");
    buffer_.put_string(NFTA_LOOKUP_SET, map.name);
    buffer_.put_u32_be(NFTA_LOOKUP_SET_ID, map.id);
    buffer_.put_u32_be(NFTA_LOOKUP_SREG, kRegister);
    buffer_.put_u32_be(NFTA_LOOKUP_DREG, kRegister);
  }
  Expression expression(buffer_, "nat");
  buffer_.put_u32_be(NFTA_NAT_TYPE, NFT_NAT_DNAT);
  buffer_.put_u32_be(NFTA_NAT_FAMILY, NFPROTO_IPV4);
  buffer_.put_u32_be(NFTA_NAT_REG_ADDR_MIN, kRegister);
  buffer_.put_u32_be(NFTA_NAT_REG_PROTO_MIN, kWord[1]);
}

}  // namespace wherry::network
