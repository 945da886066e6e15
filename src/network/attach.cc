// Leasing and giving back: the half of Networks that runs once a container.

#include <algorithm>
#include <set>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/names.h"
#include "base/trace.h"
#include "network/conntrack.h"
#include "network/network.h"
#include "network/nft_state.h"
#include "network/ports.h"
#include "network/run_dir.h"
#include "sys/nfnetlink.h"

namespace wherry::network {
namespace {

std::string table_name(const std::string& tag) {
  return tag.empty() ? "wherry" : "wherry-" + tag;
}

// Fresh each time: the kernel may still be taking the last start's link away.
std::string fresh_interface_name() {
  return "wh" + random_id().substr(0, 8);
}

sys::LinkPlan link_plan(const Network& network, uint32_t address) {
  sys::LinkPlan link;
  link.bridge = network.bridge_interface;
  link.host_interface = fresh_interface_name();
  link.mac = {0x02,
              0x42,
              static_cast<uint8_t>(address >> 24),
              static_cast<uint8_t>(address >> 16),
              static_cast<uint8_t>(address >> 8),
              static_cast<uint8_t>(address)};
  link.address = address;
  link.prefix_length = network.prefix_length;
  link.gateway = network.gateway;
  return link;
}

std::vector<PortHolder> ports_of(const Leases& leases, const std::string& container_id) {
  std::vector<PortHolder> ports;
  for (const PortHolder& each : leases.ports)
    if (each.container_id == container_id) ports.push_back(each);
  return ports;
}

// A monitor that was killed leaves its map elements behind; usually they are gone and this only
// asks.
Result<void> forget_ports(const std::string& tag, const std::vector<PortHolder>& ports) {
  std::vector<PortElement> elements = port_elements(ports);
  if (elements.empty()) return {};
  TRY(std::vector<PortElement> present, present_ports(table_name(tag), elements));
  TRY_VOID(sys::send_nft_batch(delete_ports_batch(table_name(tag), present)));
  std::vector<PortElement> udp = elements;
  std::erase_if(udp, [](const PortElement& each) { return !each.udp; });
  return udp.empty() ? Result<void>() : forget_udp_flows(udp);
}

Result<void> drop(Leases& leases, const std::string& container_id, const std::string& tag) {
  TRY_VOID_CTX(forget_ports(tag, ports_of(leases, container_id)),
               "cannot unpublish ports of container '" + container_id.substr(0, 12) + "'");
  drop_container(leases, container_id, monotonic_ns());
  return {};
}

bool holds_any(const Leases& leases, const std::string& container_id) {
  auto ours = [&](const auto& each) { return each.container_id == container_id; };
  return std::ranges::any_of(leases.addresses, ours) || std::ranges::any_of(leases.ports, ours);
}

}  // namespace

Result<Attachment> Networks::attach(const Network& network, const std::string& container_id,
                                    const std::vector<PortRequest>& ports) {
  TraceScope trace("network.attach");
  if (network.driver != "bridge")
    return Error(ErrorKind::kInvalidArgument, "network '" + network.name + "' has no links");
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(sys::FileLock lock, run_dir.lock());
  TRY(Leases leases, run_dir.read_leases());
  // A start that was killed before its release.
  if (holds_any(leases, container_id)) TRY_VOID(drop(leases, container_id, tag_));
  TRY(uint32_t address, lease_address(leases, container_id, network.name, network.subnet,
                                      network.prefix_length, network.gateway, monotonic_ns()));
  TRY_VOID(lease_ports(leases, container_id, address, ports));
  TRY_VOID(failpoint("network.attach.lease"));
  TRY_VOID(run_dir.write_leases(leases));
  TRY_VOID(failpoint("network.attach.leased"));

  Attachment attachment;
  attachment.network = network;
  attachment.link = link_plan(network, address);
  attachment.endpoint_id = random_id();
  std::vector<PortHolder> held = ports_of(leases, container_id);
  for (const PortHolder& each : held)
    attachment.ports.push_back({each.protocol, each.host_ip, each.host_port, each.container_port});
  std::vector<PortElement> elements = port_elements(held);
  attachment.nft_on_start = add_ports_batch(table_name(tag_), elements);
  attachment.nft_on_stop = delete_ports_batch(table_name(tag_), elements);
  return attachment;
}

Result<void> Networks::release(const std::string& container_id) {
  TraceScope trace("network.release");
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(sys::FileLock lock, run_dir.lock());
  TRY(Leases leases, run_dir.read_leases());
  if (!holds_any(leases, container_id)) return {};
  TRY_VOID(drop(leases, container_id, tag_));
  TRY_VOID(failpoint("network.release.lease"));
  return run_dir.write_leases(leases);
}

Result<void> Networks::prune(const std::function<Result<std::vector<std::string>>()>& live_ids) {
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(sys::FileLock lock, run_dir.lock());
  TRY(Leases leases, run_dir.read_leases());
  TRY(std::vector<std::string> listed, live_ids());
  std::set<std::string> live(listed.begin(), listed.end());
  std::set<std::string> dead;
  for (const AddressLease& each : leases.addresses)
    if (!live.contains(each.container_id)) dead.insert(each.container_id);
  for (const PortHolder& each : leases.ports)
    if (!live.contains(each.container_id)) dead.insert(each.container_id);
  if (dead.empty()) return {};
  for (const std::string& container_id : dead) TRY_VOID(drop(leases, container_id, tag_));
  TRY_VOID(failpoint("network.prune.lease"));
  return run_dir.write_leases(leases);
}

Result<void> Networks::sweep() {
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(std::optional<sys::FileLock> lock, run_dir.try_lock());
  return lock ? run_dir.remove_temp_files() : Result<void>();
}

}  // namespace wherry::network
