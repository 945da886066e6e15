// Which networks there are, and the order of locks and steps. The steps themselves: bridge.h,
// leases.h.
#include <fcntl.h>

#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/names.h"
#include "base/trace.h"
#include "network/address.h"
#include "network/bridge.h"
#include "network/network.h"
#include "network/run_dir.h"
#include "state/facts.h"

namespace wherry::network {
namespace {

constexpr const char* kFactKind = "network";
constexpr const char* kBridge = "bridge";
constexpr size_t kMaxDocument = 4096;

struct NetworkFact {
  std::string id;
  int64_t created_ns = 0;
  std::optional<Subnet> subnet;
};

std::string to_document(const NetworkFact& fact) {
  nlohmann::json document{{"id", fact.id}, {"created_ns", fact.created_ns}};
  if (fact.subnet)
    document["subnet"] = format_subnet(fact.subnet->address, fact.subnet->prefix_length);
  return document.dump();
}

std::optional<NetworkFact> parse_document(const std::string& text) {
  // Flat by contract: the first bracket inside ends it, before the parser can recurse.
  if (text.size() > kMaxDocument || text.find_first_of("{[", 1) != text.npos) return std::nullopt;
  nlohmann::json document = nlohmann::json::parse(text, nullptr, false);
  if (!document.is_object()) return std::nullopt;
  auto id = document.find("id");
  auto created = document.find("created_ns");
  if (id == document.end() || !id->is_string() || created == document.end() ||
      !created->is_number_integer())
    return std::nullopt;
  NetworkFact fact{id->get<std::string>(), created->get<int64_t>(), std::nullopt};
  if (auto subnet = document.find("subnet"); subnet != document.end()) {
    if (!subnet->is_string()) return std::nullopt;
    fact.subnet = parse_subnet(subnet->get<std::string>());
    if (!fact.subnet || fact.subnet->prefix_length > 29) return std::nullopt;
  }
  return fact;
}

Result<std::optional<NetworkFact>> load(state::Database& database, const std::string& name) {
  TRY(std::optional<std::string> text, state::get_fact(database, kFactKind, name));
  if (!text) return std::optional<NetworkFact>();
  std::optional<NetworkFact> fact = parse_document(*text);
  if (!fact) return Error(ErrorKind::kCorrupt, "record of network '" + name + "' is malformed");
  return fact;
}

Result<void> save(state::Database& database, const std::string& name, const NetworkFact& fact) {
  return state::put_fact(database, kFactKind, {name, to_document(fact)});
}

Network to_network(const NetworkFact& fact, const std::string& tag) {
  Network network;
  network.id = fact.id;
  network.name = kBridge;
  network.driver = "bridge";
  network.bridge_interface = tag.empty() ? "wherry0" : "wh-" + tag;
  network.subnet = fact.subnet->address;
  network.prefix_length = fact.subnet->prefix_length;
  network.gateway = network.subnet + 1;
  network.created_ns = fact.created_ns;
  return network;
}

// True when the recorded subnet can be used: our bridge has it, or no route of the host is in its
// way.
Result<bool> is_usable(const NetworkFact& fact, const std::string& tag) {
  if (!fact.subnet) return false;
  if (sys::link_index(to_network(fact, tag).bridge_interface)) return true;
  TRY(std::vector<sys::Route> routes, sys::list_routes());
  return !overlaps(*fact.subnet, routes);
}

Result<NetworkFact> choose(state::Database& database, std::optional<NetworkFact> known) {
  TRY(std::vector<sys::Route> routes, sys::list_routes());
  NetworkFact fact = known ? *known : NetworkFact{random_id(), wall_clock_ns(), std::nullopt};
  fact.subnet = choose_subnet(routes);
  if (!fact.subnet)
    return Error(ErrorKind::kResourceExhausted,
                 "every private subnet overlaps a route of this host: 172.17.0.0/16 to "
                 "172.31.0.0/16 and 192.168.0.0/16 are taken");
  TRY_VOID(save(database, kBridge, fact));
  return fact;
}

Result<Network> fixed_network(state::Database& database, const std::string& name,
                              const std::string& driver) {
  TRY(std::optional<NetworkFact> fact, load(database, name));
  if (!fact) {
    fact = NetworkFact{random_id(), wall_clock_ns(), std::nullopt};
    TRY_VOID(save(database, name, *fact));
  }
  Network network;
  network.id = fact->id;
  network.name = name;
  network.driver = driver;
  network.created_ns = fact->created_ns;
  return network;
}

BridgePlan plan_of(const Network& network, const std::string& tag) {
  BridgePlan plan;
  plan.table = {tag.empty() ? "wherry" : "wherry-" + tag, network.bridge_interface, network.subnet,
                network.prefix_length};
  plan.gateway = network.gateway;
  return plan;
}

Result<void> require_free_subnet(const Network& network) {
  if (sys::link_index(network.bridge_interface)) return {};
  TRY(std::vector<sys::Route> routes, sys::list_routes());
  if (!overlaps({network.subnet, network.prefix_length}, routes)) return {};
  return Error(ErrorKind::kConflict, "subnet '" +
                                         format_subnet(network.subnet, network.prefix_length) +
                                         "' overlaps a route that this host has got meanwhile");
}

// Held while a bridge comes up, by every root in this network namespace.
Result<sys::FileLock> lock_network_namespace() {
  TRY(sys::Fd space, sys::open_file("/proc/thread-self/ns/net", O_RDONLY));
  return sys::FileLock::acquire(std::move(space), "network namespace");
}

Result<void> require_bridge(const Network& network) {
  if (network.driver == "bridge") return {};
  return Error(ErrorKind::kInvalidArgument, "network '" + network.name + "' has no bridge");
}

}  // namespace

Networks::Networks(state::Database& database, int run_root_fd, std::string tag)
    : database_(database), run_root_fd_(run_root_fd), tag_(std::move(tag)) {}

Result<Network> Networks::default_bridge() {
  TRY(std::optional<NetworkFact> known, load(database_, kBridge));
  if (known) {
    TRY(bool usable, is_usable(*known, tag_));
    if (usable) return to_network(*known, tag_);
  }
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(sys::FileLock lock, run_dir.lock());
  TRY(known, load(database_, kBridge));
  if (known) {
    TRY(bool usable, is_usable(*known, tag_));
    if (usable) return to_network(*known, tag_);
  }
  TRY(NetworkFact chosen, choose(database_, known));
  return to_network(chosen, tag_);
}

Result<std::optional<Network>> Networks::known_default_bridge() {
  TRY(std::optional<NetworkFact> known, load(database_, kBridge));
  if (!known || !known->subnet) return std::optional<Network>();
  return std::optional(to_network(*known, tag_));
}

Result<std::vector<Network>> Networks::list() {
  TRY(Network bridge, default_bridge());
  TRY(RunDir run_dir, RunDir::open(run_root_fd_));
  TRY(sys::FileLock lock, run_dir.lock());
  TRY(Network host, fixed_network(database_, "host", "host"));
  TRY(Network none, fixed_network(database_, "none", "null"));
  return std::vector<Network>{std::move(bridge), std::move(host), std::move(none)};
}

Result<void> Networks::ensure_bridge(const Network& network) {
  TraceScope trace("network.ensure_bridge");
  TRY_VOID(require_bridge(network));
  BridgePlan plan = plan_of(network, tag_);
  std::string context = "cannot set up network '" + network.name + "'";
  TRY_CTX(RunDir run_dir, RunDir::open(run_root_fd_), context);
  TRY_CTX(bool ready, bridge_is_ready(run_dir, plan), context);
  if (ready) return {};
  TRY_CTX(sys::FileLock lock, run_dir.lock(), context);
  TRY_CTX(ready, bridge_is_ready(run_dir, plan), context);
  if (ready) return {};
  // Of several roots that have chosen the same subnet at the same time one gets it.
  TRY_CTX(sys::FileLock machine, lock_network_namespace(), context);
  TRY_VOID_CTX(require_free_subnet(network), context);
  TRY_VOID_CTX(make_bridge(run_dir, plan), context);
  return {};
}

Result<bool> Networks::remove_idle_bridge(const Network& network) {
  TRY_VOID(require_bridge(network));
  std::string context = "cannot remove network '" + network.name + "'";
  TRY_CTX(RunDir run_dir, RunDir::open(run_root_fd_), context);
  TRY_CTX(sys::FileLock lock, run_dir.lock(), context);
  TRY_CTX(Leases leases, run_dir.read_leases(), context);
  if (!leases.addresses.empty()) return false;
  TRY_VOID_CTX(unmake_bridge(run_dir, plan_of(network, tag_)), context);
  return true;
}

}  // namespace wherry::network
