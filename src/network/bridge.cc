#include "network/bridge.h"

#include <sys/stat.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "base/weaken.h"
#include "network/nft_state.h"
#include "sys/fd.h"
#include "sys/nfnetlink.h"
#include "sys/rtnetlink.h"

namespace wherry::network {
namespace {

constexpr const char* kForwardPath = "/proc/sys/net/ipv4/ip_forward";
constexpr const char* kReadyNote = "ready";
constexpr const char* kForwardNote = "forwarding";
// In the table's comment, so that of several roots the last to go restores it; and in a note,
// because others may flush tables.
constexpr const char* kForwardWasOff = "ip_forward was off";

Result<std::string> namespace_id() {
  struct stat status{};
  if (stat("/proc/thread-self/ns/net", &status) != 0)
    return Error::from_errno(errno, "cannot identify the network namespace");
  return std::to_string(status.st_ino);
}

Result<bool> forwarding_on() {
  TRY(std::string text, sys::read_file(kForwardPath, 16));
  return trim(text) != "0";
}

Result<void> write_sysctl(const std::string& path, std::string_view value) {
  TRY(sys::Fd fd, sys::open_file(path, O_WRONLY));
  TRY_VOID_CTX(sys::write_all(fd.get(), value), "cannot write '" + path + "'");
  return {};
}

// What the note says when all is well; empty when something is missing.
Result<std::string> current_state(const BridgePlan& plan) {
  std::optional<int> index = sys::link_index(plan.table.bridge);
  if (!index) return std::string();
  TRY(std::string fingerprint, table_fingerprint(plan.table.table));
  if (fingerprint.empty()) return std::string();
  TRY(bool forwarding, forwarding_on());
  if (!forwarding) return std::string();
  TRY(std::string name_space, namespace_id());
  return std::to_string(kRulesGeneration) + " " + name_space + " " + std::to_string(*index) + " " +
         fingerprint + " " + docker_comment(plan.table) + "\n";
}

Result<bool> docker_chain_is_ready(const BridgePlan& plan) {
  TRY(DockerChain chain, read_docker_chain(plan.table));
  return !chain.exists || (chain.current.size() == kDockerRules && chain.stale.empty());
}

// True when forwarding was off before the first wherry root came.
Result<bool> forwarding_was_off(const RunDir& run_dir) {
  TRY(bool on, forwarding_on());
  if (!on) return true;
  TRY(std::string name_space, namespace_id());
  TRY(std::optional<std::string> note, run_dir.read_note(kForwardNote));
  if (note && *note == name_space) return true;
  TRY(std::vector<TableInfo> tables, list_wherry_tables());
  for (const TableInfo& table : tables)
    if (table.comment == kForwardWasOff) return true;
  return false;
}

Result<void> install_table(const RunDir& run_dir, const BridgePlan& plan) {
  TRY(bool was_off, forwarding_was_off(run_dir));
  TRY(std::vector<TableInfo> tables, list_wherry_tables());
  bool exists = false;
  for (const TableInfo& table : tables) exists = exists || table.name == plan.table.table;
  TRY(Leases leases, run_dir.read_leases());
  if (was_off) {
    TRY(std::string name_space, namespace_id());
    TRY_VOID(run_dir.write_note(kForwardNote, name_space));
  }
  TRY_VOID(failpoint("network.bridge.rules"));
  TRY_VOID(sys::send_nft_batch(install_batch(plan.table, exists, was_off ? kForwardWasOff : "",
                                             port_elements(leases.ports))));
  // After the table, which tells other roots who will switch it off again.
  TRY_VOID(failpoint("network.bridge.forward"));
  TRY(bool on, forwarding_on());
  if (!on) TRY_VOID_CTX(write_sysctl(kForwardPath, "1"), "cannot switch on IP forwarding");
  return {};
}

Result<void> install_docker_rules(const BridgePlan& plan) {
  TRY(DockerChain chain, read_docker_chain(plan.table));
  if (!chain.exists) return {};
  if (chain.current.size() == kDockerRules && chain.stale.empty()) return {};
  std::vector<uint64_t> old = chain.stale;
  old.insert(old.end(), chain.current.begin(), chain.current.end());
  TRY_VOID_CTX(sys::send_nft_batch(docker_batch(plan.table, true, old, chain.closing_return)),
               "cannot accept our bridge in Docker's chain 'DOCKER-USER'");
  return {};
}

// A kernel without IPv6 has no such file.
Result<void> refuse_router_advertisements(const std::string& bridge) {
  if (weakened(Defence::kRouterAdvertisements)) return {};
  Result<void> done = write_sysctl("/proc/sys/net/ipv6/conf/" + bridge + "/accept_ra", "0");
  if (!done && done.error().kind() != ErrorKind::kNotFound) return done;
  return {};
}

}  // namespace

Result<bool> bridge_is_ready(const RunDir& run_dir, const BridgePlan& plan) {
  TRY(std::optional<std::string> note, run_dir.read_note(kReadyNote));
  if (!note) return false;
  TRY(std::string state, current_state(plan));
  if (state.empty() || state != *note) return false;
  return docker_chain_is_ready(plan);
}

Result<void> make_bridge(const RunDir& run_dir, const BridgePlan& plan) {
  TraceScope trace("network.make_bridge");
  run_dir.remove_note(kReadyNote);
  TRY_VOID(failpoint("network.bridge.link"));
  Result<void> link =
      sys::ensure_bridge_link(plan.table.bridge, plan.gateway, plan.table.prefix_length);
  if (!link && link.error().kind() == ErrorKind::kConflict)
    return std::move(link.error()).set_hint("remove it: ip link delete " + plan.table.bridge);
  if (!link) return link;
  TRY_VOID(refuse_router_advertisements(plan.table.bridge));
  TRY_VOID(install_table(run_dir, plan));
  TRY_VOID(failpoint("network.bridge.docker"));
  TRY_VOID(install_docker_rules(plan));
  TRY_VOID(failpoint("network.bridge.note"));
  TRY(std::string state, current_state(plan));
  if (state.empty())
    return Error(ErrorKind::kUnavailable,
                 "bridge '" + plan.table.bridge + "' was changed meanwhile");
  return run_dir.write_note(kReadyNote, state);
}

Result<void> unmake_bridge(const RunDir& run_dir, const BridgePlan& plan) {
  run_dir.remove_note(kReadyNote);
  TRY(bool was_off, forwarding_was_off(run_dir));
  TRY(DockerChain chain, read_docker_chain(plan.table));
  std::vector<uint64_t> ours = chain.stale;
  ours.insert(ours.end(), chain.current.begin(), chain.current.end());
  TRY_VOID(failpoint("network.remove.docker"));
  if (!ours.empty())
    TRY_VOID(sys::send_nft_batch(docker_batch(plan.table, false, ours, std::nullopt)));
  TRY_VOID(failpoint("network.remove.link"));
  TRY_VOID(sys::delete_link(plan.table.bridge));
  TRY_VOID(failpoint("network.remove.rules"));
  TRY(std::vector<TableInfo> before, list_wherry_tables());
  for (const TableInfo& table : before)
    if (table.name == plan.table.table)
      TRY_VOID(sys::send_nft_batch(remove_batch(plan.table.table)));
  // Listed again after ours is gone: of two roots that leave at once at least one sees no other.
  TRY(std::vector<TableInfo> others, list_wherry_tables());
  if (was_off && others.empty())
    TRY_VOID_CTX(write_sysctl(kForwardPath, "0"), "cannot switch off IP forwarding");
  run_dir.remove_note(kForwardNote);
  return {};
}

}  // namespace wherry::network
