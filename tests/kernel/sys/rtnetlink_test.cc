#include "sys/rtnetlink.h"

#include <arpa/inet.h>
#include <gtest/gtest.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/rtnetlink.h>
#include <sched.h>

#include <algorithm>
#include <functional>

#include "sys/fd.h"
#include "sys/netlink.h"
#include "sys/nfnetlink.h"

namespace wherry::sys {
namespace {

constexpr uint32_t kGateway = 10u << 24 | 77u << 16 | 1;

// Each test is alone in a fresh network namespace.
class Rtnetlink : public testing::Test {
 protected:
  void SetUp() override { ASSERT_EQ(unshare(CLONE_NEWNET), 0); }

  static LinkPlan plan() {
    LinkPlan plan;
    plan.bridge = "br-test";
    plan.host_interface = "wh-test";
    plan.mac = {2, 0x42, 10, 77, 0, 2};
    plan.address = kGateway + 1;
    plan.prefix_length = 24;
    plan.gateway = kGateway;
    plan.mtu = 1400;
    return plan;
  }
};

std::string read(const std::string& path) {
  Result<std::string> text = read_file(path, 4096);
  return text ? *text : text.error().message();
}

void in_new_namespace(const std::function<void(int fd)>& make, const std::function<void()>& use) {
  Fd before(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  Fd made(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
  ASSERT_EQ(setns(before.get(), CLONE_NEWNET), 0);
  make(made.get());
  ASSERT_EQ(setns(made.get(), CLONE_NEWNET), 0);
  use();
  ASSERT_EQ(setns(before.get(), CLONE_NEWNET), 0);
}

TEST_F(Rtnetlink, MakesAPairWhosePeerIsBornInTheOtherNamespace) {
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  LinkPlan link = plan();
  in_new_namespace(
      [&](int netns) {
        Result<void> made = create_veth(link, netns);
        ASSERT_TRUE(made.has_value()) << made.error().message();
        EXPECT_TRUE(link_index("wh-test"));
        EXPECT_FALSE(link_index("eth0"));
      },
      [&] {
        ASSERT_TRUE(link_index("eth0"));
        Result<void> done = configure_links(&link);
        ASSERT_TRUE(done.has_value()) << done.error().message();
        EXPECT_EQ(read("/proc/sys/net/ipv6/conf/eth0/disable_ipv6"), "1\n");
        Result<std::vector<Route>> routes = list_routes();
        ASSERT_TRUE(routes.has_value());
        auto has = [&](uint32_t destination, uint8_t length) {
          return std::ranges::any_of(*routes, [&](const Route& route) {
            return route.destination == destination && route.prefix_length == length;
          });
        };
        EXPECT_TRUE(has(0, 0));
        EXPECT_TRUE(has(kGateway - 1, 24));
        EXPECT_TRUE(has(kGateway + 1, 32));
        EXPECT_TRUE(has(127u << 24, 8));
      });
  Result<void> settled = settle_link(link);
  ASSERT_TRUE(settled.has_value()) << settled.error().message();
}

TEST_F(Rtnetlink, BringsUpLoopbackAloneWithoutAPlan) {
  ASSERT_TRUE(configure_links(nullptr));
  Result<std::vector<Route>> routes = list_routes();
  ASSERT_TRUE(routes.has_value());
  EXPECT_FALSE(routes->empty());
}

TEST_F(Rtnetlink, NamesTheMissingBridgeAndTheBadName) {
  LinkPlan link = plan();
  Result<void> made = create_veth(link, 0);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().message(), "no such bridge: 'br-test'");
  link.host_interface = "sixteen-chars-xx";
  made = create_veth(link, 0);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind(), ErrorKind::kInvalidArgument);
}

TEST_F(Rtnetlink, SaysWhichLinkCouldNotBeMade) {
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  LinkPlan link = plan();
  in_new_namespace(
      [&](int netns) {
        ASSERT_TRUE(create_veth(link, netns));
        Result<void> twice = create_veth(link, netns);
        ASSERT_FALSE(twice.has_value());
        EXPECT_EQ(twice.error().kind(), ErrorKind::kConflict);
        EXPECT_TRUE(twice.error().message().starts_with("cannot make link 'wh-test'"))
            << twice.error().message();
      },
      [] {});
}

TEST_F(Rtnetlink, EnsuresABridgeAgainAndRefusesAnotherAddress) {
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  Result<void> other = ensure_bridge_link("br-test", kGateway + 4, 24);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().kind(), ErrorKind::kConflict);
  other = ensure_bridge_link("lo", kGateway, 24);
  ASSERT_FALSE(other.has_value());
  EXPECT_EQ(other.error().message(), "link 'lo' exists and is not a bridge");
}

TEST_F(Rtnetlink, RemovesALinkAndIsContentWhenItIsMissing) {
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  ASSERT_TRUE(delete_link("br-test"));
  EXPECT_FALSE(link_index("br-test"));
  Result<void> again = delete_link("br-test");
  EXPECT_TRUE(again.has_value()) << again.error().message();
}

TEST_F(Rtnetlink, ListsMoreRoutesThanOneAnswerHolds) {
  ASSERT_TRUE(ensure_bridge_link("br-test", kGateway, 24));
  std::optional<int> index = link_index("br-test");
  NetlinkBuffer buffer;
  constexpr int kRoutes = 2000;
  for (int i = 0; i < kRoutes; ++i) {
    buffer.begin(RTM_NEWROUTE, i + 1 == kRoutes ? NLM_F_ACK | NLM_F_CREATE : NLM_F_CREATE);
    rtmsg header{};
    header.rtm_family = AF_INET;
    header.rtm_dst_len = 24;
    header.rtm_table = RT_TABLE_MAIN;
    header.rtm_scope = RT_SCOPE_LINK;
    header.rtm_type = RTN_UNICAST;
    buffer.fixed(header);
    buffer.put_u32_be(RTA_DST, 20u << 24 | static_cast<uint32_t>(i) << 8);
    buffer.put_u32(RTA_OIF, static_cast<uint32_t>(*index));
  }
  Result<NetlinkSocket> socket = NetlinkSocket::open(NETLINK_ROUTE);
  ASSERT_TRUE(socket.has_value());
  Result<std::vector<NetlinkFailure>> failures = socket->transact(buffer.bytes());
  ASSERT_TRUE(failures.has_value()) << failures.error().message();
  EXPECT_TRUE(failures->empty());
  Result<std::vector<Route>> routes = list_routes();
  ASSERT_TRUE(routes.has_value());
  EXPECT_EQ(std::ranges::count_if(*routes,
                                  [](const Route& route) { return route.destination >> 24 == 20; }),
            kRoutes);
}

TEST_F(Rtnetlink, ReportsAnNftablesErrorAndAsksWithoutOne) {
  EXPECT_TRUE(send_nft_batch(""));
  NetlinkBuffer request;
  request.begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_GETTABLE, 0);
  request.fixed(nfgenmsg{NFPROTO_IPV4, NFNETLINK_V0, 0});
  request.put_string(NFTA_TABLE_NAME, "missing");
  Result<std::vector<std::string>> none = nft_get(request.bytes());
  ASSERT_TRUE(none.has_value()) << none.error().message();
  EXPECT_TRUE(none->empty());
  NetlinkBuffer batch;
  batch.begin(NFNL_MSG_BATCH_BEGIN, 0);
  batch.fixed(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
  batch.begin(NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_DELTABLE, NLM_F_ACK);
  batch.fixed(nfgenmsg{NFPROTO_IPV4, NFNETLINK_V0, 0});
  batch.put_string(NFTA_TABLE_NAME, "missing");
  batch.begin(NFNL_MSG_BATCH_END, 0);
  batch.fixed(nfgenmsg{AF_UNSPEC, NFNETLINK_V0, htons(NFNL_SUBSYS_NFTABLES)});
  Result<void> sent = send_nft_batch(batch.bytes());
  ASSERT_FALSE(sent.has_value());
  EXPECT_EQ(sent.error().kind(), ErrorKind::kNotFound);
}

}  // namespace
}  // namespace wherry::sys
