#include "network/leases.h"

#include <gtest/gtest.h>

namespace wherry::network {
namespace {

constexpr uint32_t kSubnet = 172u << 24 | 17u << 16;
constexpr uint32_t kGateway = kSubnet + 1;
constexpr int64_t kSecond = 1'000'000'000;

Result<uint32_t> lease(Leases& leases, const std::string& id, int64_t now = 100 * kSecond,
                       uint8_t prefix_length = 16) {
  return lease_address(leases, id, "bridge", kSubnet, prefix_length, kGateway, now);
}

Leases sample() {
  Leases leases;
  leases.addresses = {{"aaa", "bridge", kSubnet + 2}, {"bbb", "bridge", kSubnet + 3}};
  leases.ports = {{"aaa", "tcp", "0.0.0.0", 8080, kSubnet + 2, 80},
                  {"aaa", "tcp", "::", 8080, kSubnet + 2, 80}};
  leases.resting = {{"bridge", kSubnet + 9, 5 * kSecond}};
  leases.last_address["bridge"] = kSubnet + 9;
  leases.last_port = 40000;
  return leases;
}

TEST(Addresses, GoRoundAndAreNotReusedAtOnce) {
  Leases leases;
  EXPECT_EQ(*lease(leases, "a"), kSubnet + 2);
  EXPECT_EQ(*lease(leases, "b"), kSubnet + 3);
  drop_container(leases, "a", 100 * kSecond);
  EXPECT_EQ(*lease(leases, "c"), kSubnet + 4);
}

TEST(Addresses, AreNeverTheNetworksTheGatewaysOrTheBroadcast) {
  Leases leases;
  for (int i = 0; i < 5; ++i) {
    Result<uint32_t> address = lease(leases, std::to_string(i), 0, 29);
    ASSERT_TRUE(address.has_value());
    EXPECT_EQ(*address, kSubnet + 2 + static_cast<uint32_t>(i));
  }
  Result<uint32_t> none = lease(leases, "x", 0, 29);
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().kind(), ErrorKind::kResourceExhausted);
}

TEST(Addresses, RestASecondAfterReleaseUnlessNothingElseIsFree) {
  Leases leases;
  for (int i = 0; i < 5; ++i) ASSERT_TRUE(lease(leases, std::to_string(i), 0, 29));
  drop_container(leases, "3", 10 * kSecond);
  drop_container(leases, "1", 11 * kSecond);
  EXPECT_EQ(*lease(leases, "x", 11 * kSecond + 1, 29), kSubnet + 5) << "3 has rested long enough";
  EXPECT_EQ(*lease(leases, "y", 11 * kSecond + 2, 29), kSubnet + 3) << "the only one left";
}

TEST(Addresses, OfAnotherNetworkDoNotCount) {
  Leases leases;
  ASSERT_TRUE(lease(leases, "a"));
  EXPECT_EQ(*lease_address(leases, "b", "other", kSubnet, 16, kGateway, 0), kSubnet + 2);
}

TEST(Addresses, EndWithThePortsOfABridge) {
  Leases leases;
  for (size_t i = 0; i < kMaxAddressesPerBridge; ++i)
    ASSERT_TRUE(lease(leases, std::to_string(i))) << i;
  Result<uint32_t> none = lease(leases, "x");
  ASSERT_FALSE(none.has_value());
  EXPECT_EQ(none.error().message(), "network 'bridge' is full: a bridge has 1023 ports");
}

TEST(Ports, ConflictByProtocolPortAndOverlappingAddress) {
  struct Case {
    const char* held;
    const char* asked;
    bool conflict;
  };
  for (const Case& each : {Case{"0.0.0.0", "0.0.0.0", true}, Case{"0.0.0.0", "10.0.0.1", true},
                           Case{"10.0.0.1", "0.0.0.0", true}, Case{"10.0.0.1", "10.0.0.1", true},
                           Case{"10.0.0.1", "10.0.0.2", false}, Case{"0.0.0.0", "::", false},
                           Case{"::", "fe80::1", true}, Case{"::1", "::", true},
                           Case{"::1", "fe80::1", false}, Case{"::", "127.0.0.1", false}}) {
    Leases leases;
    leases.ports = {{"a", "tcp", each.held, 80, kSubnet + 2, 80}};
    EXPECT_EQ(find_conflict(leases, "tcp", each.asked, 80) != nullptr, each.conflict)
        << each.held << " " << each.asked;
    EXPECT_EQ(find_conflict(leases, "udp", each.asked, 80), nullptr);
    EXPECT_EQ(find_conflict(leases, "tcp", each.asked, 81), nullptr);
  }
}

TEST(Ports, OnLoopbackAndIpv6AreNotTranslated) {
  std::vector<PortElement> elements = port_elements({{"a", "tcp", "127.0.0.1", 1, kSubnet + 2, 80},
                                                     {"a", "tcp", "::", 2, kSubnet + 2, 80},
                                                     {"a", "udp", "10.0.0.1", 3, kSubnet + 2, 53}});
  ASSERT_EQ(elements.size(), 1u);
  EXPECT_TRUE(elements[0].udp);
  EXPECT_EQ(elements[0].host_address, 10u << 24 | 1);
  EXPECT_EQ(elements[0].host_port, 3);
  EXPECT_EQ(elements[0].container_port, 53);
}

TEST(LeaseFile, ComesBackAsItWasWritten) {
  Leases leases = sample();
  Result<Leases> back = parse_leases(format_leases(leases));
  ASSERT_TRUE(back.has_value()) << back.error().message();
  EXPECT_EQ(*back, leases);
  EXPECT_EQ(*parse_leases(format_leases(Leases())), Leases());
}

TEST(LeaseFile, IsRefusedWhenAnyByteOfItsEndIsMissing) {
  std::string text = format_leases(sample());
  for (size_t length = 0; length < text.size(); ++length)
    EXPECT_FALSE(parse_leases(std::string_view(text).substr(0, length)).has_value()) << length;
  EXPECT_FALSE(parse_leases(text + "x").has_value());
}

TEST(LeaseFile, IsRefusedByLineWhenHostile) {
  for (const char* line :
       {"address aaa bridge", "address aaa bridge 1.2.3", "address  bridge 1.2.3.4",
        "address aaa bridge 1.2.3.4 5", "port aaa sctp 0.0.0.0 80 1.2.3.4 80",
        "port aaa tcp 0.0.0.0 0 1.2.3.4 80", "port aaa tcp 0.0.0.0 65536 1.2.3.4 80",
        "port aaa tcp any 80 1.2.3.4 80", "resting bridge 1.2.3.4 soon", "last-port", "last-port 0",
        "last-address bridge", "unknown", "", "end ", "address aaa bridge 1.2.3.4\r"}) {
    std::string text = std::string("wherry leases 1\n") + line + "\nend\n";
    Result<Leases> leases = parse_leases(text);
    ASSERT_FALSE(leases.has_value()) << line;
    EXPECT_EQ(leases.error().kind(), ErrorKind::kCorrupt);
    EXPECT_EQ(leases.error().message(), "line 2 is malformed") << line;
  }
  EXPECT_FALSE(parse_leases("wherry leases 2\nend\n").has_value());
  EXPECT_FALSE(
      parse_leases("wherry leases 1\naddress " + std::string(300, 'a') + " bridge 1.2.3.4\nend\n")
          .has_value());
}

}  // namespace
}  // namespace wherry::network
