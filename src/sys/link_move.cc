#include "sys/link_move.h"

#include <linux/if_addr.h>
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <sched.h>
#include <sys/socket.h>

#include <cerrno>
#include <vector>

#include "sys/netlink.h"
#include "sys/rtnetlink.h"

namespace wherry::sys {
namespace {

struct Address {
  ifaddrmsg header{};
  std::string local, address, broadcast;
};

std::string bytes_of(std::string_view attributes, uint16_t type) {
  return std::string(find_attribute(attributes, type).value_or(std::string_view()));
}

// What somebody has given the device for good, as opposed to what the kernel makes up again.
Result<std::vector<Address>> permanent_addresses(NetlinkSocket& socket, int index) {
  NetlinkBuffer request;
  request.begin(RTM_GETADDR, NLM_F_DUMP);
  request.fixed(ifaddrmsg{});
  TRY(const std::vector<NetlinkReply> replies, socket.ask(request.bytes()));
  std::vector<Address> addresses;
  for (const NetlinkReply& reply : replies) {
    Address one;
    if (reply.type != RTM_NEWADDR || reply.payload.size() < sizeof one.header) continue;
    memcpy(&one.header, reply.payload.data(), sizeof one.header);
    const bool lasting = (one.header.ifa_flags & IFA_F_PERMANENT) != 0;
    if (static_cast<int>(one.header.ifa_index) != index || !lasting ||
        one.header.ifa_scope != RT_SCOPE_UNIVERSE)
      continue;
    const std::string_view attributes = std::string_view(reply.payload).substr(sizeof one.header);
    one.local = bytes_of(attributes, IFA_LOCAL);
    one.address = bytes_of(attributes, IFA_ADDRESS);
    one.broadcast = bytes_of(attributes, IFA_BROADCAST);
    addresses.push_back(std::move(one));
  }
  return addresses;
}

Result<void> first_failure(const std::vector<NetlinkFailure>& failures, const std::string& what) {
  if (failures.empty()) return {};
  const std::string& words = failures.front().text;
  return Error::from_errno(failures.front().errnum, words.empty() ? what : what + ": " + words);
}

// A socket and the device's number over there.
struct Visit {
  NetlinkSocket socket;
  int index;
};
Result<Visit> visit(int netns_fd, const std::string& name) {
  TRY(const Fd own, open_file("/proc/self/ns/net", O_RDONLY));
  if (setns(netns_fd, CLONE_NEWNET) != 0)
    return Error::from_errno(errno, "cannot enter the network namespace");
  Result<NetlinkSocket> socket = NetlinkSocket::open(NETLINK_ROUTE);
  const std::optional<int> index = link_index(name);
  if (setns(own.get(), CLONE_NEWNET) != 0)
    return Error::from_errno(errno, "cannot come back from the network namespace");
  if (!socket) return Error(std::move(socket.error()));
  if (!index) return Error(ErrorKind::kInternal, "the device did not arrive");
  return Visit{std::move(*socket), *index};
}

Result<void> set_up(Visit& there, const std::vector<Address>& addresses) {
  NetlinkBuffer batch;
  for (const Address& one : addresses) {
    batch.begin(RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE | NLM_F_ACK);
    ifaddrmsg header = one.header;
    header.ifa_index = static_cast<unsigned>(there.index);
    batch.fixed(header);
    if (!one.local.empty()) batch.put(IFA_LOCAL, one.local);
    if (!one.address.empty()) batch.put(IFA_ADDRESS, one.address);
    if (!one.broadcast.empty()) batch.put(IFA_BROADCAST, one.broadcast);
  }
  batch.begin(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg up{};
  up.ifi_index = there.index;
  up.ifi_flags = IFF_UP;
  up.ifi_change = IFF_UP;
  batch.fixed(up);
  TRY(const std::vector<NetlinkFailure> failures, there.socket.transact(batch.bytes()));
  return first_failure(failures, "cannot set it up there");
}

}  // namespace

Result<void> move_link(const std::string& name, const std::string& new_name, int netns_fd) {
  const std::string context = "cannot move the network device '" + name + "'";
  const std::optional<int> index = link_index(name);
  if (!index) return Error(ErrorKind::kNotFound, context + ": there is no such device");
  TRY_CTX(NetlinkSocket here, NetlinkSocket::open(NETLINK_ROUTE), context);
  TRY_CTX(const std::vector<Address> addresses, permanent_addresses(here, *index), context);
  // One message: the kernel takes the device down on its way and renames it before it is up again.
  NetlinkBuffer move;
  move.begin(RTM_NEWLINK, NLM_F_ACK);
  ifinfomsg header{};
  header.ifi_index = *index;
  move.fixed(header);
  move.put_u32(IFLA_NET_NS_FD, static_cast<uint32_t>(netns_fd));
  move.put_string(IFLA_IFNAME, new_name);
  TRY_CTX(const std::vector<NetlinkFailure> failures, here.transact(move.bytes()), context);
  TRY_VOID(first_failure(failures, context));
  TRY_CTX(Visit there, visit(netns_fd, new_name), context);
  TRY_VOID_CTX(set_up(there, addresses), context);
  return {};
}

}  // namespace wherry::sys
