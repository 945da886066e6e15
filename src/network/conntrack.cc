#include "network/conntrack.h"

#include <linux/netfilter/nfnetlink.h>
#include <linux/netfilter/nfnetlink_conntrack.h>
#include <netinet/in.h>

#include <set>

#include "sys/netlink.h"

namespace wherry::network {
namespace {

// The acknowledgements of one transaction must fit the socket's buffer.
constexpr size_t kDeletionsAtOnce = 64;

void begin(sys::NetlinkBuffer& buffer, uint16_t message, uint16_t flags) {
  buffer.begin(static_cast<uint16_t>(NFNL_SUBSYS_CTNETLINK << 8 | message), flags);
  nfgenmsg header{};
  header.nfgen_family = AF_INET;
  header.version = NFNETLINK_V0;
  buffer.fixed(header);
}

// A flow may end by itself meanwhile.
Result<void> send_deletions(sys::NetlinkSocket& socket, std::string_view deletions) {
  TRY_CTX(auto failures, socket.transact(deletions), "cannot forget tracked connections");
  for (const sys::NetlinkFailure& failure : failures)
    if (failure.errnum != ENOENT)
      return Error::from_errno(failure.errnum, "cannot forget tracked connections");
  return {};
}

// The answering side of a flow: {source address, protocol}.
struct Answerer {
  uint32_t address = 0;
  uint8_t protocol = 0;
};

std::optional<Answerer> answerer_of(std::string_view flow) {
  std::optional<std::string_view> reply = sys::find_attribute(flow, CTA_TUPLE_REPLY);
  if (!reply) return std::nullopt;
  std::optional<std::string_view> ip = sys::find_attribute(*reply, CTA_TUPLE_IP);
  std::optional<std::string_view> proto = sys::find_attribute(*reply, CTA_TUPLE_PROTO);
  if (!ip || !proto) return std::nullopt;
  std::optional<uint32_t> address = sys::attribute_u32_be(*ip, CTA_IP_V4_SRC);
  std::optional<std::string_view> number = sys::find_attribute(*proto, CTA_PROTO_NUM);
  if (!address || !number || number->empty()) return std::nullopt;
  return Answerer{*address, static_cast<uint8_t>(number->front())};
}

}  // namespace

Result<void> forget_udp_flows(const std::vector<PortElement>& ports) {
  std::set<uint32_t> containers;
  for (const PortElement& port : ports) containers.insert(port.container_address);
  TRY(sys::NetlinkSocket socket, sys::NetlinkSocket::open(NETLINK_NETFILTER));
  sys::NetlinkBuffer request;
  begin(request, IPCTNL_MSG_CT_GET, NLM_F_DUMP);
  TRY_CTX(auto replies, socket.ask(request.bytes()), "cannot list tracked connections");
  std::optional<sys::NetlinkBuffer> deletions;
  size_t count = 0;
  for (const sys::NetlinkReply& reply : replies) {
    if (reply.payload.size() < sizeof(nfgenmsg)) continue;
    std::string_view flow = std::string_view(reply.payload).substr(sizeof(nfgenmsg));
    std::optional<Answerer> answerer = answerer_of(flow);
    std::optional<std::string_view> origin = sys::find_attribute(flow, CTA_TUPLE_ORIG);
    if (!answerer || !origin || answerer->protocol != IPPROTO_UDP) continue;
    if (!containers.contains(answerer->address)) continue;
    if (!deletions) deletions.emplace();
    begin(*deletions, IPCTNL_MSG_CT_DELETE, NLM_F_ACK);
    deletions->put(CTA_TUPLE_ORIG | NLA_F_NESTED, *origin);
    if (auto id = sys::find_attribute(flow, CTA_ID)) deletions->put(CTA_ID, *id);
    if (++count % kDeletionsAtOnce != 0) continue;
    TRY_VOID(send_deletions(socket, deletions->bytes()));
    deletions.reset();
  }
  return deletions ? send_deletions(socket, deletions->bytes()) : Result<void>();
}

}  // namespace wherry::network
