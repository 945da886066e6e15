#include "sys/nfnetlink.h"

#include <linux/netfilter/nfnetlink.h>

#include "sys/netlink.h"

namespace wherry::sys {

Result<void> send_nft_batch(std::string_view batch) {
  if (batch.empty()) return {};
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  TRY_CTX(std::vector<NetlinkFailure> failures, socket.transact(batch), "cannot change nftables");
  if (failures.empty()) return {};
  const NetlinkFailure& first = failures.front();
  std::string what = "cannot change nftables (message " + std::to_string(first.sequence) + ")";
  if (!first.text.empty()) what += ": " + first.text;
  return Error::from_errno(first.errnum, what);
}

Result<std::vector<std::string>> nft_get(std::string_view requests) {
  TRY(NetlinkSocket socket, NetlinkSocket::open(NETLINK_NETFILTER));
  TRY_CTX(std::vector<NetlinkReply> replies, socket.ask(requests), "cannot read nftables");
  std::vector<std::string> objects;
  for (NetlinkReply& reply : replies) {
    if ((reply.type >> 8) != NFNL_SUBSYS_NFTABLES) continue;
    if (reply.payload.size() < sizeof(nfgenmsg)) continue;
    objects.push_back(reply.payload.substr(sizeof(nfgenmsg)));
  }
  return objects;
}

}  // namespace wherry::sys
