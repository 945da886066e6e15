// Networks of containers: plans for links, addresses, published ports and nftables, and the leases
// behind them. The default bridge now; user networks later.
//
// Plan, then act: make-once objects (bridge, address, ip_forward, nft table and chains, DOCKER-USER
// accept) are installed by ensure_bridge(); a container costs one LinkPlan and one netlink batch,
// both plain data that its monitor applies. Names carry a tag of the root, so that several roots
// live side by side. Leases are boot-scoped: files under <run root>/network, one lock, gone at
// reboot. Thread rule: any number of processes at once; every method takes the lock it needs.
#pragma once

#include <cstdint>
#include <functional>
#include <optional>
#include <string>
#include <vector>

#include "base/result.h"
#include "state/database.h"
#include "sys/link_plan.h"

namespace wherry::network {

struct Network {
  std::string id;      // 64 hex
  std::string name;    // "bridge", "host", "none"
  std::string driver;  // bridge, host, null
  std::string bridge_interface;
  uint32_t subnet = 0;  // host byte order
  uint8_t prefix_length = 0;
  uint32_t gateway = 0;
  int64_t created_ns = 0;
};

// A port as the user asked for it; host_port 0: choose a free one; with host_port_last: a free one
// from host_port to it.
struct PortRequest {
  std::string protocol = "tcp";  // tcp, udp
  std::string host_ip;           // empty: 0.0.0.0 and [::]
  uint16_t host_port = 0;
  uint16_t container_port = 0;
  uint16_t host_port_last = 0;
};
struct PortLease {
  std::string protocol;
  std::string host_ip;  // "0.0.0.0", "::" or an address
  uint16_t host_port = 0;
  uint16_t container_port = 0;
};

// Everything a container's monitor needs for its link.
struct Attachment {
  Network network;
  sys::LinkPlan link;
  std::string endpoint_id;  // 64 hex, for inspect
  std::vector<PortLease> ports;
  std::string nft_on_start;  // netlink bytes: add the map elements of the published ports
  std::string nft_on_stop;   // and delete them
};

class Networks {
 public:
  // `run_root_fd`, borrowed for the object's life; `tag`: a short hash of the root ("" for the
  // default root: the bridge is then called wherry0, else wh-<tag>); `database` keeps the chosen
  // subnet.
  Networks(state::Database& database, int run_root_fd, std::string tag);

  // bridge, host and none. The default bridge's subnet is chosen at first use from 172.17-31/16 and
  // 192.168/20 blocks so that it does not overlap a host route, then kept.
  Result<std::vector<Network>> list();
  Result<Network> default_bridge();
  // The same without choosing: empty when no container has needed it yet.
  Result<std::optional<Network>> known_default_bridge();

  // Makes the bridge, its address, forwarding, masquerade and port translation when they are
  // missing in this network namespace. Cheap when all is there (one file and one link lookup).
  // kConflict when a route of the host has taken the subnet since it was chosen: choose again.
  Result<void> ensure_bridge(const Network& network);

  // Leases an address (never one that is in use; quarantined a moment after release) and the ports.
  // A taken port is kConflict and names its owner: "port 8080/tcp is already allocated by container
  // 'ID'"; one that some other program of the host holds is found when the monitor binds it.
  Result<Attachment> attach(const Network& network, const std::string& container_id,
                            const std::vector<PortRequest>& ports);
  // Gives back the address and ports of a container. Idempotent.
  Result<void> release(const std::string& container_id);
  // Drops leases of containers that `live` does not list, e.g. after kill -9. It is called under
  // the lock of leases: who is listed before it leases, and as long as it holds, is never robbed.
  Result<void> prune(const std::function<Result<std::vector<std::string>>()>& live);
  // Removes temp files that a killed command left; leaves all alone while another one is at work.
  Result<void> sweep();
  // Removes what ensure_bridge made, unless a container holds an address there (false). The next
  // attach makes it again.
  Result<bool> remove_idle_bridge(const Network& network);

 private:
  state::Database& database_;
  int run_root_fd_;
  std::string tag_;
};

}  // namespace wherry::network
