#include "network/nft_batch.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include <algorithm>
#include <span>

namespace wherry::network {
namespace {

using Nest = sys::NetlinkBuffer::Nest;

// 64 KiB is the most an attribute can hold; an element needs about 60 bytes.
constexpr size_t kElementsPerMessage = 512;
constexpr uint8_t kCommentTag = 0;
constexpr size_t kMaxComment = 128;

void put_header(sys::NetlinkBuffer& buffer, uint8_t family, uint16_t resource) {
  nfgenmsg header{};
  header.nfgen_family = family;
  header.version = NFNETLINK_V0;
  header.res_id = htons(resource);
  buffer.fixed(header);
}

void begin_object(sys::NetlinkBuffer& buffer, uint16_t message, uint16_t flags) {
  buffer.begin(static_cast<uint16_t>(NFNL_SUBSYS_NFTABLES << 8 | message), flags);
  put_header(buffer, NFPROTO_IPV4, 0);
}

void put_value(sys::NetlinkBuffer& buffer, uint16_t attribute, std::string_view value) {
  Nest data(buffer, attribute);
  buffer.put(NFTA_DATA_VALUE, value);
}

}  // namespace

NftBatch::NftBatch() {
  buffer_.begin(NFNL_MSG_BATCH_BEGIN, 0);
  put_header(buffer_, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
}

std::string NftBatch::finish() && {
  buffer_.begin(NFNL_MSG_BATCH_END, 0);
  put_header(buffer_, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
  return std::move(buffer_).take();
}

void NftBatch::begin(uint16_t message, uint16_t flags) {
  begin_object(buffer_, message, flags | NLM_F_ACK);
}

void NftBatch::add_table(std::string_view table, std::string_view comment) {
  begin(NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_EXCL);
  buffer_.put_string(NFTA_TABLE_NAME, table);
  buffer_.put_u32_be(NFTA_TABLE_FLAGS, 0);
  if (!comment.empty()) buffer_.put(NFTA_TABLE_USERDATA, nft_comment(comment));
}

void NftBatch::delete_table(std::string_view table) {
  begin(NFT_MSG_DELTABLE, 0);
  buffer_.put_string(NFTA_TABLE_NAME, table);
}

void NftBatch::add_chain(std::string_view table, std::string_view chain,
                         const std::optional<NftHook>& hook) {
  begin(NFT_MSG_NEWCHAIN, NLM_F_CREATE | NLM_F_EXCL);
  buffer_.put_string(NFTA_CHAIN_TABLE, table);
  buffer_.put_string(NFTA_CHAIN_NAME, chain);
  if (!hook) return;
  {
    Nest nest(buffer_, NFTA_CHAIN_HOOK);
    buffer_.put_u32_be(NFTA_HOOK_HOOKNUM, hook->number);
    buffer_.put_u32_be(NFTA_HOOK_PRIORITY, static_cast<uint32_t>(hook->priority));
  }
  buffer_.put_u32_be(NFTA_CHAIN_POLICY, NF_ACCEPT);
  buffer_.put_string(NFTA_CHAIN_TYPE, hook->type);
}

void NftBatch::add_map(std::string_view table, const NftMap& map) {
  begin(NFT_MSG_NEWSET, NLM_F_CREATE | NLM_F_EXCL);
  buffer_.put_string(NFTA_SET_TABLE, table);
  buffer_.put_string(NFTA_SET_NAME, map.name);
  buffer_.put_u32_be(NFTA_SET_ID, map.id);
  buffer_.put_u32_be(NFTA_SET_FLAGS, NFT_SET_MAP);
  buffer_.put_u32_be(NFTA_SET_KEY_TYPE, map.key_type);
  buffer_.put_u32_be(NFTA_SET_KEY_LEN, map.key_length);
  buffer_.put_u32_be(NFTA_SET_DATA_TYPE, map.data_type);
  buffer_.put_u32_be(NFTA_SET_DATA_LEN, map.data_length);
}

void NftBatch::change_elements(uint16_t message, uint16_t flags, std::string_view table,
                               std::string_view map, const std::vector<NftElement>& elements) {
  for (size_t first = 0; first < elements.size(); first += kElementsPerMessage) {
    begin(message, flags);
    buffer_.put_string(NFTA_SET_ELEM_LIST_TABLE, table);
    buffer_.put_string(NFTA_SET_ELEM_LIST_SET, map);
    Nest list(buffer_, NFTA_SET_ELEM_LIST_ELEMENTS);
    size_t count = std::min(kElementsPerMessage, elements.size() - first);
    for (const NftElement& element : std::span(elements).subspan(first, count)) {
      Nest nest(buffer_, NFTA_LIST_ELEM);
      put_value(buffer_, NFTA_SET_ELEM_KEY, element.key);
      if (message == NFT_MSG_NEWSETELEM) put_value(buffer_, NFTA_SET_ELEM_DATA, element.data);
    }
  }
}

void NftBatch::add_elements(std::string_view table, std::string_view map,
                            const std::vector<NftElement>& elements) {
  // Without NLM_F_EXCL: the same element twice is fine (the table may just have been made anew).
  change_elements(NFT_MSG_NEWSETELEM, NLM_F_CREATE, table, map, elements);
}

void NftBatch::delete_elements(std::string_view table, std::string_view map,
                               const std::vector<NftElement>& elements) {
  change_elements(NFT_MSG_DELSETELEM, 0, table, map, elements);
}

void NftBatch::delete_rule(std::string_view table, std::string_view chain, uint64_t handle) {
  begin(NFT_MSG_DELRULE, 0);
  buffer_.put_string(NFTA_RULE_TABLE, table);
  buffer_.put_string(NFTA_RULE_CHAIN, chain);
  buffer_.put_u64_be(NFTA_RULE_HANDLE, handle);
}

std::string nft_comment(std::string_view text) {
  text = text.substr(0, kMaxComment);
  std::string data;
  data += static_cast<char>(kCommentTag);
  data += static_cast<char>(text.size() + 1);
  data += text;
  data += '\0';
  return data;
}

std::string parse_nft_comment(std::string_view user_data) {
  while (user_data.size() >= 2) {
    size_t length = static_cast<unsigned char>(user_data[1]);
    if (length > user_data.size() - 2) return {};
    std::string_view value = user_data.substr(2, length);
    if (static_cast<uint8_t>(user_data[0]) == kCommentTag)
      return std::string(value.substr(0, value.find('\0')));
    user_data.remove_prefix(2 + length);
  }
  return {};
}

void request_table(sys::NetlinkBuffer& buffer, std::string_view table) {
  begin_object(buffer, NFT_MSG_GETTABLE, 0);
  buffer.put_string(NFTA_TABLE_NAME, table);
}

void request_all_tables(sys::NetlinkBuffer& buffer) {
  begin_object(buffer, NFT_MSG_GETTABLE, NLM_F_DUMP);
}

void request_chain(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view chain) {
  begin_object(buffer, NFT_MSG_GETCHAIN, 0);
  buffer.put_string(NFTA_CHAIN_TABLE, table);
  buffer.put_string(NFTA_CHAIN_NAME, chain);
}

void request_rules(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view chain) {
  begin_object(buffer, NFT_MSG_GETRULE, NLM_F_DUMP);
  buffer.put_string(NFTA_RULE_TABLE, table);
  buffer.put_string(NFTA_RULE_CHAIN, chain);
}

void request_element(sys::NetlinkBuffer& buffer, std::string_view table, std::string_view map,
                     std::string_view key) {
  begin_object(buffer, NFT_MSG_GETSETELEM, 0);
  buffer.put_string(NFTA_SET_ELEM_LIST_TABLE, table);
  buffer.put_string(NFTA_SET_ELEM_LIST_SET, map);
  Nest list(buffer, NFTA_SET_ELEM_LIST_ELEMENTS);
  Nest element(buffer, NFTA_LIST_ELEM);
  put_value(buffer, NFTA_SET_ELEM_KEY, key);
}

}  // namespace wherry::network
