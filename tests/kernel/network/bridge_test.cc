#include <sys/wait.h>

#include <cerrno>
#include <csignal>
#include <cstdlib>

#include "base/failpoint.h"
#include "base/text.h"
#include "kernel/network/host.h"
#include "sys/nfnetlink.h"
#include "sys/rtnetlink.h"

namespace wherry::network {
namespace {

std::string forwarding() {
  return shell("cat /proc/sys/net/ipv4/ip_forward");
}

void ensure(Root& root) {
  Result<void> made = root.networks->ensure_bridge(root.bridge);
  ASSERT_TRUE(made.has_value()) << made.error().message();
}

void remove(Root& root) {
  ASSERT_TRUE(root.networks->prune(nobody));
  Result<bool> removed = root.networks->remove_idle_bridge(root.bridge);
  ASSERT_TRUE(removed.has_value()) << removed.error().message();
  EXPECT_TRUE(*removed);
}

class Bridge : public HostTest {};

TEST_F(Bridge, AvoidsTheSubnetsThatTheHostRoutes) {
  shell("ip route add 172.17.5.0/24 via 10.9.0.2; ip route add 172.16.0.0/14 via 10.9.0.2");
  Root root("");
  EXPECT_EQ(root.bridge.subnet, 172u << 24 | 20u << 16);
  EXPECT_EQ(root.bridge.prefix_length, 16);
}

TEST_F(Bridge, KeepsItsSubnetAndId) {
  Root root("");
  ensure(root);
  shell("ip route add 172.17.5.0/24 via 10.9.0.2");
  Result<Network> again = root.networks->default_bridge();
  ASSERT_TRUE(again.has_value());
  EXPECT_EQ(again->subnet, root.bridge.subnet);
  EXPECT_EQ(again->id, root.bridge.id);
  Result<std::vector<Network>> all = root.networks->list();
  ASSERT_TRUE(all.has_value());
  ASSERT_EQ(all->size(), 3u);
  EXPECT_EQ((*all)[1].driver, "host");
  EXPECT_EQ((*all)[2].driver, "null");
}

TEST_F(Bridge, LeavesNothingBehindWhenRemoved) {
  ASSERT_EQ(forwarding(), "0\n");
  Root root("");
  ensure(root);
  EXPECT_EQ(forwarding(), "1\n");
  EXPECT_EQ(shell("cat /proc/sys/net/ipv6/conf/wherry0/accept_ra"), "0\n");
  remove(root);
  EXPECT_EQ(forwarding(), "0\n");
  EXPECT_EQ(shell("nft list ruleset"), "");
  EXPECT_FALSE(sys::link_index("wherry0"));
  remove(root);
}

TEST_F(Bridge, DoesNotSwitchOffForwardingThatWasOn) {
  shell("echo 1 > /proc/sys/net/ipv4/ip_forward");
  Root root("");
  ensure(root);
  remove(root);
  EXPECT_EQ(forwarding(), "1\n");
}

TEST_F(Bridge, LivesBesideThatOfAnotherRoot) {
  Root first("");
  ensure(first);
  Root second("0123456789ab");
  EXPECT_NE(first.bridge.subnet, second.bridge.subnet);
  EXPECT_EQ(second.bridge.bridge_interface, "wh-0123456789ab");
  ensure(second);
  RunningContainer one = start(first, 'a', {{"tcp", "", 8080, 80}});
  RunningContainer two = start(second, 'b', {{"tcp", "", 8081, 80}});
  sys::Fd server_one = listen_in(one.netns.get(), 80);
  sys::Fd server_two = listen_in(two.netns.get(), 80);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8080)) << strerror(errno);
  EXPECT_EQ(accept_peer(server_one.get()), kOutsideAddress);
  // The one that switched forwarding on goes first; the other still works.
  remove(first);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8081)) << strerror(errno);
  EXPECT_EQ(accept_peer(server_two.get()), kOutsideAddress);
  remove(second);
  EXPECT_EQ(forwarding(), "0\n");
  EXPECT_EQ(shell("nft list ruleset"), "");
}

TEST_F(Bridge, IsRepairedWithItsPortsAfterARulesetFlush) {
  Root root("");
  ensure(root);
  RunningContainer web = start(root, 'a', {{"tcp", "", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  for (const char* damage : {"nft flush ruleset", "nft flush chain ip wherry postrouting",
                             "echo 0 > /proc/sys/net/ipv4/ip_forward"}) {
    shell(damage);
    ensure(root);
    EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8080)) << damage << strerror(errno);
    EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
  }
  EXPECT_TRUE(sys::send_nft_batch(web.attachment.nft_on_stop));
  remove(root);
  EXPECT_EQ(forwarding(), "0\n");
}

TEST_F(Bridge, IsMadeAnewInAnotherNamespace) {
  Root root("");
  ensure(root);
  sys::Fd other = new_namespace();
  inside(other.get(), [&] {
    ensure(root);
    EXPECT_TRUE(sys::link_index("wherry0"));
  });
}

TEST_F(Bridge, WithAnotherAddressIsAConflictThatNamesIt) {
  Root root("");
  shell("ip link add wherry0 type bridge; ip address add 10.77.0.1/16 dev wherry0");
  Result<void> made = root.networks->ensure_bridge(root.bridge);
  ASSERT_FALSE(made.has_value());
  EXPECT_EQ(made.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(made.error().message().find("'wherry0' exists with another address"),
            std::string::npos);
}

TEST_F(Bridge, OfARootThatChoseTheSubnetOfAnotherAtTheSameTimeGetsAnother) {
  Root first("one"), second("two");
  ASSERT_EQ(first.bridge.subnet, second.bridge.subnet);
  ensure(first);
  Result<void> taken = second.networks->ensure_bridge(second.bridge);
  ASSERT_FALSE(taken.has_value());
  EXPECT_EQ(taken.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(taken.error().message().find("'172.17.0.0/16' overlaps a route"), std::string::npos)
      << taken.error().message();
  EXPECT_FALSE(sys::link_index("wh-two"));
  Result<Network> again = second.networks->default_bridge();
  ASSERT_TRUE(again.has_value());
  EXPECT_NE(again->subnet, first.bridge.subnet);
  EXPECT_TRUE(second.networks->ensure_bridge(*again));
}

TEST_F(Bridge, IsKnownOnceItWasChosenAndNotBefore) {
  Root root("");
  Result<state::Database> fresh = state::Database::open(root.directory + "/fresh");
  ASSERT_TRUE(fresh.has_value());
  Networks networks(*fresh, root.run_root.get(), "");
  Result<std::optional<Network>> before = networks.known_default_bridge();
  ASSERT_TRUE(before.has_value());
  EXPECT_FALSE(before->has_value());
  Result<Network> chosen = networks.default_bridge();
  ASSERT_TRUE(chosen.has_value());
  Result<std::optional<Network>> after = networks.known_default_bridge();
  ASSERT_TRUE(after.has_value() && after->has_value());
  EXPECT_EQ((*after)->subnet, chosen->subnet);
}

TEST_F(Bridge, IsFinishedByTheNextAfterAKillAtAnyStep) {
  for (const char* step :
       {"network.bridge.link", "network.bridge.rules", "network.bridge.forward",
        "network.bridge.docker", "network.bridge.note", "file.written", "network.remove.docker",
        "network.remove.link", "network.remove.rules"}) {
    Root root("");
    pid_t child = fork();
    if (child == 0) {
      setenv("WHERRY_FAILPOINT", (std::string(step) + ":kill").c_str(), 1);
      arm_failpoints();
      (void)!root.networks->ensure_bridge(root.bridge);
      (void)!root.networks->remove_idle_bridge(root.bridge);
      _exit(0);
    }
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << step;
    ensure(root);
    RunningContainer web = start(root, 'a', {{"tcp", "", 8080, 80}});
    sys::Fd server = listen_in(web.netns.get(), 80);
    EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8080)) << step << strerror(errno);
    EXPECT_EQ(accept_peer(server.get()), kOutsideAddress) << step;
    EXPECT_TRUE(sys::send_nft_batch(web.attachment.nft_on_stop));
    remove(root);
    EXPECT_EQ(forwarding(), "0\n") << step;
    EXPECT_EQ(shell("nft list ruleset"), "") << step;
  }
}

TEST_F(Bridge, HandsOutDifferentAddressesAndPortsToConcurrentProcesses) {
  Root root("");
  constexpr int kProcesses = 20;
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    pid_t child = fork();
    if (child == 0) {
      const unsigned char raw = static_cast<unsigned char>(i);
      std::string id = to_hex({&raw, 1}) + std::string(62, '0');
      std::vector<PortRequest> ports{{"tcp", "", 0, 80}};
      bool good = root.networks->ensure_bridge(root.bridge).has_value();
      good = good && root.networks->attach(root.bridge, id, ports).has_value();
      _exit(good ? 0 : 1);
    }
    children.push_back(child);
  }
  for (pid_t child : children) {
    int status = 0;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  std::string leases = shell("cat " + root.directory + "/run/network/leases");
  EXPECT_EQ(shell("grep ^address " + root.directory +
                  "/run/network/leases | cut -d' ' -f4 | sort -u "
                  "| wc -l"),
            std::to_string(kProcesses) + "\n")
      << leases;
  EXPECT_EQ(shell("grep '^port .*0.0.0.0' " + root.directory +
                  "/run/network/leases | cut -d' ' -f5 | sort -u | wc -l"),
            std::to_string(kProcesses) + "\n")
      << leases;
}

constexpr const char* kDockerFilter =
    "nft -f - <<END\n"
    "table ip filter {\n"
    "  chain DOCKER-USER { counter return; }\n"
    "  chain FORWARD { type filter hook forward priority 0; policy drop; jump DOCKER-USER; }\n"
    "}\n"
    "END\n";

TEST_F(Bridge, GetsThroughDockersForwardDrop) {
  Root root("");
  ensure(root);
  RunningContainer web = start(root, 'a', {{"tcp", "", 8080, 80}});
  sys::Fd server = listen_in(web.netns.get(), 80);
  sys::Fd beyond = listen_in(outside_.get(), 80);
  shell(kDockerFilter);
  std::string foreign = shell("nft list table ip filter");
  ensure(root);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8080)) << strerror(errno);
  EXPECT_EQ(accept_peer(server.get()), kOutsideAddress);
  EXPECT_TRUE(connect_from(web.netns.get(), kOutsideAddress, 80)) << strerror(errno);
  EXPECT_EQ(accept_peer(beyond.get()), kHostAddress);
  std::string rules = shell("nft list chain ip filter DOCKER-USER");
  EXPECT_NE(rules.find("comment \"wherry wherry0 172.17.0.0/16\""), rules.npos) << rules;
  ensure(root);
  EXPECT_EQ(shell("nft list chain ip filter DOCKER-USER"), rules);
  remove(root);
  EXPECT_EQ(shell("nft list table ip filter"), foreign);
}

TEST_F(Bridge, HonoursADropInDockersUserChain) {
  Root root("");
  shell(kDockerFilter);
  ensure(root);
  shell("nft insert rule ip filter DOCKER-USER tcp dport 80 reject");
  RunningContainer web = start(root, 'a', {{"tcp", "", 8080, 80}, {"tcp", "", 8081, 81}});
  sys::Fd blocked = listen_in(web.netns.get(), 80);
  sys::Fd open = listen_in(web.netns.get(), 81);
  EXPECT_FALSE(connect_from(outside_.get(), kHostAddress, 8080));
  EXPECT_EQ(errno, ECONNREFUSED);
  EXPECT_TRUE(connect_from(outside_.get(), kHostAddress, 8081)) << strerror(errno);
  EXPECT_EQ(accept_peer(open.get()), kOutsideAddress);
}

TEST_F(Bridge, DoesNotOpenUnpublishedPortsThroughDockersDrop) {
  Root root("");
  shell(kDockerFilter);
  ensure(root);
  RunningContainer web = start(root, 'a');
  sys::Fd server = listen_in(web.netns.get(), 80);
  inside(outside_.get(), [] { shell("ip route add 172.16.0.0/12 via 10.9.0.1"); });
  shell("nft add rule ip filter FORWARD reject");
  EXPECT_FALSE(connect_from(outside_.get(), web.attachment.link.address, 80));
}

}  // namespace
}  // namespace wherry::network
