#include "sys/rtnetlink.h"

#include <arpa/inet.h>
#include <linux/ethtool.h>
#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/magic.h>
#include <linux/rtnetlink.h>
#include <linux/sockios.h>
#include <linux/veth.h>
#include <net/if.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/vfs.h>

#include <cerrno>
#include <initializer_list>

#include "sys/netlink.h"

namespace wherry::sys {
namespace {

constexpr int kLoopback = 1;                   // the index of `lo` in every namespace
constexpr uint8_t kAddressGenerationNone = 1;  // IN6_ADDR_GEN_MODE_NONE

std::string dotted(uint32_t address) {
  in_addr raw{htonl(address)};
  char text[INET_ADDRSTRLEN];
  return inet_ntop(AF_INET, &raw, text, sizeof text);
}

// Messages that are sent together, each with the words for its failure and the errors that are
// fine.
class Batch {
 public:
  NetlinkBuffer& begin(uint16_t type, uint16_t flags, std::string action,
                       std::initializer_list<int> fine = {}) {
    buffer_.begin(type, flags | NLM_F_ACK);
    steps_.push_back({std::move(action), fine});
    return buffer_;
  }

  Result<void> send() {
    TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
    TRY(std::vector<NetlinkFailure> failures, socket.transact(buffer_.bytes()));
    for (const NetlinkFailure& failure : failures) {
      if (failure.sequence == 0 || failure.sequence > steps_.size())
        return Error::from_errno(failure.errnum, "cannot change links");
      const Step& step = steps_[failure.sequence - 1];
      bool fine = false;
      for (int errnum : step.fine) fine = fine || errnum == failure.errnum;
      if (fine) continue;
      std::string what = step.action;
      if (!failure.text.empty()) what += ": " + failure.text;
      return Error::from_errno(failure.errnum, what);
    }
    return {};
  }

 private:
  struct Step {
    std::string action;
    std::vector<int> fine;
  };
  NetlinkBuffer buffer_;
  std::vector<Step> steps_;
};

Result<void> check_name(const std::string& name) {
  if (!name.empty() && name.size() < IFNAMSIZ) return {};
  return Error(ErrorKind::kInvalidArgument,
               "interface name '" + name + "' must have 1 to 15 characters");
}

ifinfomsg link_header(int index, bool up) {
  ifinfomsg header{};
  header.ifi_family = AF_UNSPEC;
  header.ifi_index = index;
  if (up) {
    header.ifi_flags = IFF_UP;
    header.ifi_change = IFF_UP;
  }
  return header;
}

void put_one_queue(NetlinkBuffer& buffer) {
  buffer.put_u32(IFLA_NUM_TX_QUEUES, 1);
  buffer.put_u32(IFLA_NUM_RX_QUEUES, 1);
}

// No link-local address, hence no duplicate detection and router solicitation flooding the bridge.
// A kernel without IPv6 (or a link below its least MTU) refuses the family, which is as good.
void add_no_ipv6_addresses(Batch& batch, int index, const std::string& name) {
  NetlinkBuffer& buffer = batch.begin(RTM_SETLINK, 0, "cannot switch off IPv6 of '" + name + "'",
                                      {EAFNOSUPPORT, EOPNOTSUPP});
  buffer.fixed(link_header(index, false));
  if (index == 0) buffer.put_string(IFLA_IFNAME, name);
  NetlinkBuffer::Nest families(buffer, IFLA_AF_SPEC);
  NetlinkBuffer::Nest family(buffer, AF_INET6);
  buffer.put_u8(IFLA_INET6_ADDR_GEN_MODE, kAddressGenerationNone);
}

// Lets a frame leave by the port it came from: a container that reaches a published port of its own
// through the host's address, where br_netfilter translates already on the bridge.
void add_hairpin(Batch& batch, const std::string& name) {
  NetlinkBuffer& buffer = batch.begin(RTM_NEWLINK, 0, "cannot set hairpin mode of '" + name + "'");
  buffer.fixed(link_header(0, false));
  buffer.put_string(IFLA_IFNAME, name);
  NetlinkBuffer::Nest info(buffer, IFLA_LINKINFO);
  buffer.put_string(IFLA_INFO_SLAVE_KIND, "bridge");
  NetlinkBuffer::Nest data(buffer, IFLA_INFO_SLAVE_DATA);
  buffer.put_u8(IFLA_BRPORT_MODE, 1);
}

void add_link_up(Batch& batch, int index, const std::string& name) {
  batch.begin(RTM_SETLINK, 0, "cannot bring up '" + name + "'").fixed(link_header(index, true));
}

void add_address(Batch& batch, int index, const std::string& name, uint32_t address,
                 uint8_t prefix_length, std::initializer_list<int> fine = {}) {
  NetlinkBuffer& buffer =
      batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_EXCL,
                  "cannot give address '" + dotted(address) + "' to '" + name + "'", fine);
  ifaddrmsg header{};
  header.ifa_family = AF_INET;
  header.ifa_prefixlen = prefix_length;
  header.ifa_index = static_cast<uint32_t>(index);
  buffer.fixed(header);
  buffer.put_u32(IFA_LOCAL, htonl(address));
  buffer.put_u32(IFA_ADDRESS, htonl(address));
  if (prefix_length < 31)
    buffer.put_u32(IFA_BROADCAST, htonl(address | (0xFFFFFFFFu >> prefix_length)));
}

void add_default_route(Batch& batch, int index, uint32_t gateway) {
  NetlinkBuffer& buffer = batch.begin(RTM_NEWROUTE, NLM_F_CREATE | NLM_F_EXCL,
                                      "cannot route through gateway '" + dotted(gateway) + "'");
  rtmsg header{};
  header.rtm_family = AF_INET;
  header.rtm_table = RT_TABLE_MAIN;
  header.rtm_protocol = RTPROT_BOOT;
  header.rtm_scope = RT_SCOPE_UNIVERSE;
  header.rtm_type = RTN_UNICAST;
  buffer.fixed(header);
  buffer.put_u32(RTA_GATEWAY, htonl(gateway));
  buffer.put_u32(RTA_OIF, static_cast<uint32_t>(index));
}

// Neighbours could still send router advertisements to a link without a link-local address; only
// the sysctl closes that. Where no procfs is at /proc the address mode must do.
void disable_ipv6_by_sysctl(const std::string& name) {
  std::string path = "/proc/sys/net/ipv6/conf/" + name + "/disable_ipv6";
  Fd fd(::open(path.c_str(), O_WRONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK));
  struct statfs where{};
  if (!fd || fstatfs(fd.get(), &where) != 0 || where.f_type != PROC_SUPER_MAGIC) return;
  (void)!::write(fd.get(), "1", 1);
}

// Addresses (with prefix length) and kind of an existing link.
struct LinkState {
  std::string kind;
  std::vector<std::pair<uint32_t, uint8_t>> addresses;
};

Result<LinkState> read_link(int index) {
  LinkState state;
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  NetlinkBuffer link;
  link.begin(RTM_GETLINK, 0);
  link.fixed(link_header(index, false));
  TRY(std::vector<NetlinkReply> links, socket.ask(link.bytes()));
  for (const NetlinkReply& reply : links) {
    if (reply.type != RTM_NEWLINK || reply.payload.size() < sizeof(ifinfomsg)) continue;
    std::string_view attributes = std::string_view(reply.payload).substr(sizeof(ifinfomsg));
    if (auto info = find_attribute(attributes, IFLA_LINKINFO))
      state.kind = attribute_string(*info, IFLA_INFO_KIND).value_or("");
  }
  NetlinkBuffer addresses;
  addresses.begin(RTM_GETADDR, NLM_F_DUMP);
  ifaddrmsg all{};
  all.ifa_family = AF_INET;
  addresses.fixed(all);
  TRY(std::vector<NetlinkReply> replies, socket.ask(addresses.bytes()));
  for (const NetlinkReply& reply : replies) {
    ifaddrmsg header;
    if (reply.type != RTM_NEWADDR || reply.payload.size() < sizeof header) continue;
    memcpy(&header, reply.payload.data(), sizeof header);
    if (header.ifa_index != static_cast<uint32_t>(index)) continue;
    auto local = attribute_u32_be(std::string_view(reply.payload).substr(sizeof header), IFA_LOCAL);
    if (local) state.addresses.emplace_back(*local, header.ifa_prefixlen);
  }
  return state;
}

// The MAC is ours so that it does not follow the lowest port: neighbours would lose their gateway
// each time a container comes or goes.
Result<void> make_bridge(const std::string& name, uint32_t address) {
  Batch batch;
  NetlinkBuffer& buffer = batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                                      "cannot make bridge '" + name + "'", {EEXIST});
  buffer.fixed(link_header(0, false));
  buffer.put_string(IFLA_IFNAME, name);
  const char mac[6] = {0x02,
                       0x42,
                       static_cast<char>(address >> 24),
                       static_cast<char>(address >> 16),
                       static_cast<char>(address >> 8),
                       static_cast<char>(address)};
  buffer.put(IFLA_ADDRESS, std::string_view(mac, sizeof mac));
  {
    NetlinkBuffer::Nest info(buffer, IFLA_LINKINFO);
    buffer.put_string(IFLA_INFO_KIND, "bridge");
  }
  return batch.send();
}

}  // namespace

std::optional<int> link_index(const std::string& name) {
  if (!check_name(name)) return std::nullopt;
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return std::nullopt;
  ifreq request{};
  memcpy(request.ifr_name, name.data(), name.size());
  if (ioctl(fd.get(), SIOCGIFINDEX, &request) != 0) return std::nullopt;
  return request.ifr_ifindex;
}

Result<void> create_veth(const LinkPlan& plan, int netns_fd) {
  TRY_VOID(check_name(plan.host_interface));
  TRY_VOID(check_name(plan.container_interface));
  std::optional<int> bridge = link_index(plan.bridge);
  if (!bridge) return Error(ErrorKind::kNotFound, "no such bridge: '" + plan.bridge + "'");
  Batch batch;
  NetlinkBuffer& buffer = batch.begin(RTM_NEWLINK, NLM_F_CREATE | NLM_F_EXCL,
                                      "cannot make link '" + plan.host_interface + "'");
  buffer.fixed(link_header(0, true));
  buffer.put_string(IFLA_IFNAME, plan.host_interface);
  buffer.put_u32(IFLA_MASTER, static_cast<uint32_t>(*bridge));
  put_one_queue(buffer);
  if (plan.mtu != 0) buffer.put_u32(IFLA_MTU, plan.mtu);
  {
    NetlinkBuffer::Nest info(buffer, IFLA_LINKINFO);
    buffer.put_string(IFLA_INFO_KIND, "veth");
    NetlinkBuffer::Nest data(buffer, IFLA_INFO_DATA);
    NetlinkBuffer::Nest peer(buffer, VETH_INFO_PEER);
    // Not up: the kernel refuses that for a peer whose other end does not exist yet (ENOTCONN).
    buffer.fixed(link_header(0, false));
    buffer.put_string(IFLA_IFNAME, plan.container_interface);
    buffer.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns_fd));
    buffer.put(IFLA_ADDRESS, {reinterpret_cast<const char*>(plan.mac.data()), plan.mac.size()});
    put_one_queue(buffer);
    if (plan.mtu != 0) buffer.put_u32(IFLA_MTU, plan.mtu);
  }
  // Early enough: our end has no carrier before the peer is up.
  add_no_ipv6_addresses(batch, 0, plan.host_interface);
  add_hairpin(batch, plan.host_interface);
  return batch.send();
}

// ETHTOOL_GLINK runs the pending link-watch work of a device before it answers.
Result<void> settle_link(const LinkPlan& plan) {
  Fd fd(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  if (!fd) return Error::from_errno(errno, "cannot open a socket");
  for (const std::string& name : {plan.host_interface, plan.bridge}) {
    TRY_VOID(check_name(name));
    ethtool_value value{ETHTOOL_GLINK, 0};
    ifreq request{};
    memcpy(request.ifr_name, name.data(), name.size());
    request.ifr_data = reinterpret_cast<char*>(&value);
    if (ioctl(fd.get(), SIOCETHTOOL, &request) != 0)
      return Error::from_errno(errno, "cannot settle link '" + name + "'");
  }
  return {};
}

Result<void> configure_links(const LinkPlan* plan) {
  Batch batch;
  add_link_up(batch, kLoopback, "lo");
  if (plan != nullptr) {
    std::optional<int> index = link_index(plan->container_interface);
    if (!index)
      return Error(ErrorKind::kNotFound, "no such link: '" + plan->container_interface + "'");
    disable_ipv6_by_sysctl(plan->container_interface);
    add_no_ipv6_addresses(batch, *index, plan->container_interface);
    add_address(batch, *index, plan->container_interface, plan->address, plan->prefix_length);
    add_link_up(batch, *index, plan->container_interface);
    if (plan->gateway != 0) add_default_route(batch, *index, plan->gateway);
  }
  return batch.send();
}

Result<void> ensure_bridge_link(const std::string& name, uint32_t address, uint8_t prefix_length) {
  TRY_VOID(check_name(name));
  if (!link_index(name)) TRY_VOID(make_bridge(name, address));
  std::optional<int> index = link_index(name);
  if (!index) return Error(ErrorKind::kUnavailable, "bridge '" + name + "' went away");
  TRY_CTX(LinkState state, read_link(*index), "cannot read link '" + name + "'");
  if (state.kind != "bridge")
    return Error(ErrorKind::kConflict, "link '" + name + "' exists and is not a bridge");
  for (const auto& [theirs, length] : state.addresses)
    if (theirs != address || length != prefix_length)
      return Error(ErrorKind::kConflict, "bridge '" + name + "' exists with another address: '" +
                                             dotted(theirs) + "/" + std::to_string(length) + "'");
  disable_ipv6_by_sysctl(name);
  Batch batch;
  add_no_ipv6_addresses(batch, *index, name);
  if (state.addresses.empty()) add_address(batch, *index, name, address, prefix_length, {EEXIST});
  add_link_up(batch, *index, name);
  return batch.send();
}

Result<void> delete_link(const std::string& name) {
  TRY_VOID(check_name(name));
  Batch batch;
  NetlinkBuffer& buffer =
      batch.begin(RTM_DELLINK, 0, "cannot remove link '" + name + "'", {ENODEV});
  buffer.fixed(link_header(0, false));
  buffer.put_string(IFLA_IFNAME, name);
  return batch.send();
}

Result<std::vector<Route>> list_routes() {
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_ROUTE));
  NetlinkBuffer request;
  request.begin(RTM_GETROUTE, NLM_F_DUMP);
  rtmsg all{};
  all.rtm_family = AF_INET;
  request.fixed(all);
  TRY_CTX(std::vector<NetlinkReply> replies, socket.ask(request.bytes()), "cannot list routes");
  std::vector<Route> routes;
  for (const NetlinkReply& reply : replies) {
    rtmsg header;
    if (reply.type != RTM_NEWROUTE || reply.payload.size() < sizeof header) continue;
    memcpy(&header, reply.payload.data(), sizeof header);
    std::string_view attributes = std::string_view(reply.payload).substr(sizeof header);
    uint32_t table = attribute_u32(attributes, RTA_TABLE).value_or(header.rtm_table);
    if (table != RT_TABLE_MAIN && table != RT_TABLE_LOCAL) continue;
    routes.push_back({attribute_u32_be(attributes, RTA_DST).value_or(0), header.rtm_dst_len});
  }
  return routes;
}

}  // namespace wherry::sys
