#include "network/nft_rules.h"

#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter_ipv4.h>
#include <netinet/in.h>

#include "network/address.h"

namespace wherry::network {
namespace {

constexpr const char* kPublished = "published";
constexpr const char* kDirect = "direct";

const NftMap kByAddress{"ports_by_address",
                        1,
                        nft_concat(nft_concat(kNftIpv4Address, kNftProtocol), kNftService),
                        12,
                        nft_concat(kNftIpv4Address, kNftService),
                        8};
const NftMap kByPort{
    "ports", 2, nft_concat(kNftProtocol, kNftService), 8, nft_concat(kNftIpv4Address, kNftService),
    8};

const NftMap& map_of(const PortElement& element) {
  return element.host_address != 0 ? kByAddress : kByPort;
}

// Each field of a concatenation fills whole 4-byte registers.
void put_address(std::string& bytes, uint32_t address) {
  uint32_t raw = htonl(address);
  bytes.append(reinterpret_cast<const char*>(&raw), sizeof raw);
}
void put_protocol(std::string& bytes, bool udp) {
  const char raw[4] = {static_cast<char>(udp ? IPPROTO_UDP : IPPROTO_TCP), 0, 0, 0};
  bytes.append(raw, sizeof raw);
}
void put_port(std::string& bytes, uint16_t port) {
  const char raw[4] = {static_cast<char>(port >> 8), static_cast<char>(port), 0, 0};
  bytes.append(raw, sizeof raw);
}

std::vector<NftElement> elements_of(const std::vector<PortElement>& ports, const NftMap& map) {
  std::vector<NftElement> elements;
  for (const PortElement& port : ports)
    if (&map_of(port) == &map) elements.push_back(to_nft(port));
  return elements;
}

void add_elements(NftBatch& batch, const std::string& table,
                  const std::vector<PortElement>& ports) {
  for (const NftMap* map : {&kByAddress, &kByPort})
    batch.add_elements(table, map->name, elements_of(ports, *map));
}

void add_translation(NftBatch& batch, const std::string& table) {
  NftRule(batch, table, kPublished).translate_by(kByAddress, true);
  NftRule(batch, table, kPublished).translate_by(kByPort, false);
  NftRule(batch, table, "prerouting").destination_is_local().jump(kPublished);
  // Loopback is served by the monitor's own socket: translated packets would need route_localnet.
  NftRule(batch, table, "output")
      .destination_not_loopback()
      .destination_is_local()
      .jump(kPublished);
}

// Before any translation: what another machine sends straight to a container's address is not for a
// published port. Answers to our masquerade still have the host's address here.
void add_protection(NftBatch& batch, const TablePlan& plan) {
  NftRule(batch, plan.table, kDirect)
      .destination_in(plan.subnet, plan.prefix_length)
      .input_interface_is_not(plan.bridge)
      .destination_is_not_local()
      .drop();
}

void add_masquerade(NftBatch& batch, const TablePlan& plan) {
  NftRule(batch, plan.table, "postrouting")
      .source_in(plan.subnet, plan.prefix_length)
      .output_interface_is_not(plan.bridge)
      .masquerade();
  // A container that reaches a published port of itself or a neighbour through the host's address:
  // the answer must come back through the host, not straight over the bridge.
  NftRule(batch, plan.table, "postrouting")
      .destination_was_translated()
      .source_in(plan.subnet, plan.prefix_length)
      .output_interface_is(plan.bridge)
      .masquerade();
}

}  // namespace

const std::string& map_name(const PortElement& element) {
  return map_of(element).name;
}

NftElement to_nft(const PortElement& element) {
  NftElement result;
  if (element.host_address != 0) put_address(result.key, element.host_address);
  put_protocol(result.key, element.udp);
  put_port(result.key, element.host_port);
  put_address(result.data, element.container_address);
  put_port(result.data, element.container_port);
  return result;
}

std::string install_batch(const TablePlan& plan, bool replace, const std::string& comment,
                          const std::vector<PortElement>& ports) {
  NftBatch batch;
  if (replace) batch.delete_table(plan.table);
  batch.add_table(plan.table, comment);
  batch.add_chain(plan.table, kDirect, NftHook{"filter", NF_INET_PRE_ROUTING, NF_IP_PRI_RAW});
  batch.add_chain(plan.table, kPublished, std::nullopt);
  batch.add_chain(plan.table, "prerouting", NftHook{"nat", NF_INET_PRE_ROUTING, NF_IP_PRI_NAT_DST});
  batch.add_chain(plan.table, "output", NftHook{"nat", NF_INET_LOCAL_OUT, NF_IP_PRI_NAT_DST});
  batch.add_chain(plan.table, "postrouting",
                  NftHook{"nat", NF_INET_POST_ROUTING, NF_IP_PRI_NAT_SRC});
  batch.add_map(plan.table, kByAddress);
  batch.add_map(plan.table, kByPort);
  add_protection(batch, plan);
  add_translation(batch, plan.table);
  add_masquerade(batch, plan);
  add_elements(batch, plan.table, ports);
  return std::move(batch).finish();
}

std::string remove_batch(const std::string& table) {
  NftBatch batch;
  batch.delete_table(table);
  return std::move(batch).finish();
}

std::string add_ports_batch(const std::string& table, const std::vector<PortElement>& ports) {
  if (ports.empty()) return {};
  NftBatch batch;
  add_elements(batch, table, ports);
  return std::move(batch).finish();
}

std::string delete_ports_batch(const std::string& table, const std::vector<PortElement>& ports) {
  if (ports.empty()) return {};
  NftBatch batch;
  for (const NftMap* map : {&kByAddress, &kByPort})
    batch.delete_elements(table, map->name, elements_of(ports, *map));
  return std::move(batch).finish();
}

std::string docker_comment_prefix(const std::string& bridge) {
  return "wherry " + bridge + " ";
}

std::string docker_comment(const TablePlan& plan) {
  return docker_comment_prefix(plan.bridge) + format_subnet(plan.subnet, plan.prefix_length);
}

std::string docker_batch(const TablePlan& plan, bool add, const std::vector<uint64_t>& stale,
                         std::optional<uint64_t> closing_return) {
  NftBatch batch;
  for (uint64_t handle : stale) batch.delete_rule(kDockerTable, kDockerChain, handle);
  if (add) {
    std::string comment = docker_comment(plan);
    NftRule(batch, kDockerTable, kDockerChain, comment, closing_return)
        .input_interface_is(plan.bridge)
        .source_in(plan.subnet, plan.prefix_length)
        .accept();
    NftRule(batch, kDockerTable, kDockerChain, comment, closing_return)
        .output_interface_is(plan.bridge)
        .destination_in(plan.subnet, plan.prefix_length)
        .iptables_established_or_translated()
        .accept();
  }
  return std::move(batch).finish();
}

}  // namespace wherry::network
