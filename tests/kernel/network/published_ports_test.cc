#include <arpa/inet.h>
#include <sys/socket.h>

#include <cerrno>
#include <cstring>

#include "base/text.h"
#include "kernel/network/host.h"
#include "sys/nfnetlink.h"
#include "sys/rtnetlink.h"

namespace wherry::network {
namespace {

class PublishedPorts : public HostTest {
 protected:
  void SetUp() override {
    HostTest::SetUp();
    root_ = std::make_unique<Root>("");
    Result<void> made = root_->networks->ensure_bridge(root_->bridge);
    ASSERT_TRUE(made.has_value()) << made.error().message();
  }
  std::unique_ptr<Root> root_;
};

TEST_F(PublishedPorts, ReachTheContainerFromOutsideWithTheClientsAddress) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  sys::Fd client = connect_from(outside_.get(), kHostAddress, 8080);
  ASSERT_TRUE(client) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
}

TEST_F(PublishedPorts, ReachTheContainerFromTheHostByItsOwnAddresses) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  EXPECT_TRUE(connect_from(host_.get(), kHostAddress, 8080)) << strerror(errno);
  EXPECT_NE(accept_peer(server.get()), 0u);
  EXPECT_TRUE(connect_from(host_.get(), root_->bridge.gateway, 8080)) << strerror(errno);
  EXPECT_NE(accept_peer(server.get()), 0u);
}

TEST_F(PublishedPorts, LeaveLoopbackToTheMonitorsSocket) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  EXPECT_FALSE(connect_from(host_.get(), INADDR_LOOPBACK, 8080));
  EXPECT_EQ(errno, ECONNREFUSED);
  sys::Fd monitor = listen_in(host_.get(), 8080);
  EXPECT_TRUE(connect_from(host_.get(), INADDR_LOOPBACK, 8080)) << strerror(errno);
  EXPECT_EQ(accept_peer(monitor.get()), INADDR_LOOPBACK);
}

TEST_F(PublishedPorts, ReachTheContainerItselfAndItsNeighboursThroughTheHost) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  RunningContainer other = start(*root_, 'b');
  sys::Fd server = listen_in(web.netns.get(), 80);
  for (int from : {web.netns.get(), other.netns.get()})
    for (uint32_t address : {kHostAddress, root_->bridge.gateway}) {
      EXPECT_TRUE(connect_from(from, address, 8080)) << strerror(errno);
      EXPECT_EQ(accept_peer(server.get()), root_->bridge.gateway);
    }
}

TEST_F(PublishedPorts, AreTheOnlyOnesThatAnotherMachineReaches) {
  RunningContainer web = start(*root_, 'a', {{"udp", "", 5353, 53}});
  sys::Fd server = udp_in(web.netns.get(), 53);
  sys::Fd client = udp_in(outside_.get(), 0);
  inside(outside_.get(), [] { shell("ip route add 172.16.0.0/12 via 10.9.0.1"); });
  auto send_to = [&](uint32_t address, uint16_t port, const char* word) {
    sockaddr_in to{.sin_family = AF_INET, .sin_port = htons(port), .sin_addr = {htonl(address)}};
    EXPECT_EQ(
        sendto(client.get(), word, strlen(word), 0, reinterpret_cast<sockaddr*>(&to), sizeof to),
        static_cast<ssize_t>(strlen(word)));
  };
  send_to(web.attachment.link.address, 53, "direct");
  send_to(kHostAddress, 5353, "published");
  char word[32] = {};
  ASSERT_GT(recv(server.get(), word, sizeof word - 1, 0), 0);
  EXPECT_STREQ(word, "published");
  EXPECT_NE(shell("nft list chain ip wherry direct").find("drop"), std::string::npos);
}

TEST_F(PublishedPorts, OnOneHostAddressAreClosedOnTheOthers) {
  shell("ip address add 10.9.0.7/24 dev uplink");
  RunningContainer web = start(*root_, 'a', {{"tcp", "10.9.0.7", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress + 6, 8080)) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
  EXPECT_FALSE(connect_from(outside_.get(), kHostAddress, 8080));
  EXPECT_EQ(errno, ECONNREFUSED);
}

TEST_F(PublishedPorts, AreClosedAfterTheStopBatch) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}, {"udp", "", 53, 53}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  Result<void> sent = sys::send_nft_batch(web.attachment.nft_on_stop);
  ASSERT_TRUE(sent.has_value()) << sent.error().message();
  EXPECT_FALSE(connect_from(outside_.get(), kHostAddress, 8080));
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_TRUE(root_->networks->release(web.id));
}

TEST_F(PublishedPorts, OfAKilledMonitorGoWithItsLease) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  RunningContainer live = start(*root_, 'b', {{"tcp", "", 8081, 80}});
  ASSERT_TRUE(root_->networks->prune([&] { return std::vector<std::string>{live.id}; }));
  std::string rules = shell("nft list table ip wherry");
  EXPECT_EQ(rules.find("8080"), rules.npos) << rules;
  EXPECT_NE(rules.find("8081"), rules.npos) << rules;
  EXPECT_TRUE(
      root_->networks->attach(root_->bridge, std::string(64, 'c'), {{"tcp", "", 8080, 80}}));
}

TEST_F(PublishedPorts, OfAContainerThatStartsAgainReplaceItsOldOnes) {
  RunningContainer first = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  RunningContainer second = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  EXPECT_NE(first.attachment.link.address, second.attachment.link.address);
  EXPECT_NE(first.attachment.link.host_interface, second.attachment.link.host_interface);
  sys::Fd server = listen_in(second.netns.get(), 80);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8080)) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
}

TEST_F(PublishedPorts, TakeAUdpFlowAlongToTheNextContainer) {
  RunningContainer first = start(*root_, 'a', {{"udp", "", 5353, 53}});
  sys::Fd server = udp_in(first.netns.get(), 53);
  sys::Fd client = udp_in(outside_.get(), 40000);
  sockaddr_in host{};
  host.sin_family = AF_INET;
  host.sin_port = htons(5353);
  host.sin_addr.s_addr = htonl(kHostAddress);
  char byte = 0;
  auto send_one = [&] {
    return sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&host), sizeof host);
  };
  ASSERT_EQ(send_one(), 1);
  ASSERT_EQ(recv(server.get(), &byte, 1, 0), 1);
  ASSERT_TRUE(sys::send_nft_batch(first.attachment.nft_on_stop));
  ASSERT_TRUE(root_->networks->release(first.id));
  RunningContainer second = start(*root_, 'b', {{"udp", "", 5353, 53}});
  sys::Fd next = udp_in(second.netns.get(), 53);
  ASSERT_EQ(send_one(), 1);
  EXPECT_EQ(recv(next.get(), &byte, 1, 0), 1);
}

TEST_F(PublishedPorts, ForgetHundredsOfUdpFlowsAtOnce) {
  RunningContainer dns = start(*root_, 'a', {{"udp", "", 5353, 53}});
  sys::Fd server = udp_in(dns.netns.get(), 53);
  for (int i = 0; i < 300; ++i) {
    sys::Fd client = udp_in(outside_.get(), 0);
    sockaddr_in host{};
    host.sin_family = AF_INET;
    host.sin_port = htons(5353);
    host.sin_addr.s_addr = htonl(kHostAddress);
    ASSERT_EQ(sendto(client.get(), "x", 1, 0, reinterpret_cast<sockaddr*>(&host), sizeof host), 1);
  }
  EXPECT_GE(std::stoi(shell("cat /proc/sys/net/netfilter/nf_conntrack_count")), 250);
  Result<void> released = root_->networks->release(dns.id);
  ASSERT_TRUE(released.has_value()) << released.error().message();
  EXPECT_LT(std::stoi(shell("cat /proc/sys/net/netfilter/nf_conntrack_count")), 20);
}

TEST_F(PublishedPorts, AreChosenFreeWhenNoneIsNamed) {
  sys::Fd taken = listen_in(host_.get(), 32768);
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 0, 80}, {"tcp", "0.0.0.0", 0, 81}});
  ASSERT_EQ(web.attachment.ports.size(), 3u);
  EXPECT_EQ(web.attachment.ports[0].host_ip, "0.0.0.0");
  EXPECT_EQ(web.attachment.ports[0].host_port, 32769);
  EXPECT_EQ(web.attachment.ports[1].host_ip, "::");
  EXPECT_EQ(web.attachment.ports[1].host_port, 32769);
  EXPECT_EQ(web.attachment.ports[2].host_port, 32770);
}

TEST_F(PublishedPorts, ThatAreTakenNameTheirOwner) {
  RunningContainer web = start(*root_, 'a', {{"tcp", "", 8080, 80}});
  Result<Attachment> second =
      root_->networks->attach(root_->bridge, std::string(64, 'b'), {{"tcp", "", 8080, 80}});
  ASSERT_FALSE(second.has_value());
  EXPECT_EQ(second.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(second.error().message(),
            "port 8080/tcp is already allocated by container 'aaaaaaaaaaaa'");
  Result<Attachment> third = root_->networks->attach(root_->bridge, std::string(64, 'b'), {});
  ASSERT_TRUE(third.has_value());
  EXPECT_EQ(third->link.address, web.attachment.link.address + 1)
      << "the failure leased an address";
}

TEST_F(PublishedPorts, LetContainersReachTheWorldAsTheHost) {
  RunningContainer client = start(*root_, 'a');
  sys::Fd server = listen_in(outside_.get(), 80);
  EXPECT_TRUE(connect_from(client.netns.get(), kOutsideAddress, 80)) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kHostAddress);
}

TEST_F(PublishedPorts, AThousandAtOnceFitInOneBatch) {
  std::vector<PortRequest> many;
  for (uint16_t port = 10000; port < 11000; ++port) many.push_back({"tcp", "", port, port});
  RunningContainer web = start(*root_, 'a', many);
  sys::Fd server = listen_in(web.netns.get(), 10999);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 10999)) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
  EXPECT_TRUE(sys::send_nft_batch(web.attachment.nft_on_stop));
}

}  // namespace
}  // namespace wherry::network
