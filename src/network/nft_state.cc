#include "network/nft_state.h"

#include <linux/netfilter/nf_tables.h>

#include "sys/nfnetlink.h"

namespace wherry::network {
namespace {

std::string user_comment(std::string_view object, uint16_t attribute) {
  std::optional<std::string_view> data = sys::find_attribute(object, attribute);
  return data ? parse_nft_comment(*data) : std::string();
}

// "counter return" or "return": what Docker closes its chain with.
bool is_plain_return(std::string_view rule) {
  bool returns = false;
  bool plain = true;
  std::optional<std::string_view> list = sys::find_attribute(rule, NFTA_RULE_EXPRESSIONS);
  if (!list) return false;
  sys::for_each_attribute(*list, [&](uint16_t, std::string_view expression) {
    std::string name = sys::attribute_string(expression, NFTA_EXPR_NAME).value_or("");
    if (name == "counter") return;
    if (name != "immediate") plain = false;
    auto data = sys::find_attribute(expression, NFTA_EXPR_DATA);
    if (data) data = sys::find_attribute(*data, NFTA_IMMEDIATE_DATA);
    if (data) data = sys::find_attribute(*data, NFTA_DATA_VERDICT);
    if (data &&
        sys::attribute_u32_be(*data, NFTA_VERDICT_CODE) == static_cast<uint32_t>(NFT_RETURN))
      returns = true;
  });
  return plain && returns;
}

}  // namespace

Result<std::string> table_fingerprint(const std::string& table) {
  sys::NetlinkBuffer request;
  request_table(request, table);
  for (const char* chain : kChains) request_chain(request, table, chain);
  TRY(std::vector<std::string> objects, sys::nft_get(request.bytes()));
  if (objects.size() != 1 + std::size(kChains)) return std::string();
  std::string word =
      std::to_string(sys::attribute_u64_be(objects.front(), NFTA_TABLE_HANDLE).value_or(0));
  for (size_t i = 1; i < objects.size(); ++i)
    word += ":" + std::to_string(sys::attribute_u32_be(objects[i], NFTA_CHAIN_USE).value_or(0));
  return word;
}

Result<std::vector<TableInfo>> list_wherry_tables() {
  sys::NetlinkBuffer request;
  request_all_tables(request);
  TRY(std::vector<std::string> objects, sys::nft_get(request.bytes()));
  std::vector<TableInfo> tables;
  for (const std::string& object : objects) {
    std::string name = sys::attribute_string(object, NFTA_TABLE_NAME).value_or("");
    if (name != "wherry" && !name.starts_with("wherry-")) continue;
    tables.push_back({name, user_comment(object, NFTA_TABLE_USERDATA)});
  }
  return tables;
}

Result<std::vector<PortElement>> present_ports(const std::string& table,
                                               const std::vector<PortElement>& ports) {
  std::vector<PortElement> present;
  if (ports.empty()) return present;
  TRY(sys::NetlinkSocket socket, sys::NetlinkSocket::open(NETLINK_NETFILTER));
  for (const PortElement& port : ports) {
    sys::NetlinkBuffer request;
    request_element(request, table, map_name(port), to_nft(port).key);
    TRY_CTX(auto replies, socket.ask(request.bytes()), "cannot read nftables");
    if (!replies.empty()) present.push_back(port);
  }
  return present;
}

Result<DockerChain> read_docker_chain(const TablePlan& plan) {
  DockerChain chain;
  sys::NetlinkBuffer exists;
  request_chain(exists, kDockerTable, kDockerChain);
  TRY(std::vector<std::string> found, sys::nft_get(exists.bytes()));
  chain.exists = !found.empty();
  if (!chain.exists) return chain;
  sys::NetlinkBuffer request;
  request_rules(request, kDockerTable, kDockerChain);
  TRY(std::vector<std::string> rules, sys::nft_get(request.bytes()));
  for (const std::string& rule : rules) {
    uint64_t handle = sys::attribute_u64_be(rule, NFTA_RULE_HANDLE).value_or(0);
    std::string comment = user_comment(rule, NFTA_RULE_USERDATA);
    if (comment == docker_comment(plan))
      chain.current.push_back(handle);
    else if (comment.starts_with(docker_comment_prefix(plan.bridge)))
      chain.stale.push_back(handle);
  }
  if (!rules.empty() && is_plain_return(rules.back()))
    chain.closing_return = sys::attribute_u64_be(rules.back(), NFTA_RULE_HANDLE);
  return chain;
}

}  // namespace wherry::network
