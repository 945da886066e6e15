#include "engine/ports.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

TEST(Ports, BindingsBecomeRequests) {
  PortMap bindings = {{"80/tcp", {{"", "8080"}, {"127.0.0.1", ""}}}, {"53/udp", {{"::1", "5353"}}}};
  auto requests = port_requests(bindings, "0.0.0.0");
  ASSERT_TRUE(requests);
  ASSERT_EQ(requests->size(), 3u);
  EXPECT_EQ((*requests)[0].protocol, "udp");
  EXPECT_EQ((*requests)[0].host_ip, "::1");
  EXPECT_EQ((*requests)[0].host_port, 5353);
  EXPECT_EQ((*requests)[0].container_port, 53);
  EXPECT_EQ((*requests)[1].host_ip, "");
  EXPECT_EQ((*requests)[1].host_port, 8080);
  EXPECT_EQ((*requests)[2].host_ip, "127.0.0.1");
  EXPECT_EQ((*requests)[2].host_port, 0);
}

TEST(Ports, TheConfiguredAddressStandsForAnEmptyOne) {
  auto requests = port_requests({{"80/tcp", {{"", "8080"}}}}, "127.0.0.1");
  ASSERT_TRUE(requests);
  EXPECT_EQ(requests->at(0).host_ip, "127.0.0.1");
}

TEST(Ports, MalformedOnesAreRefused) {
  const PortMap cases[] = {{{"0/tcp", {{}}}},
                           {{"65536", {{}}}},
                           {{"80/icmp", {{}}}},
                           {{"80/sctp", {{}}}},
                           {{"x", {{}}}},
                           {{"80/tcp", {{"localhost", "1"}}}},
                           {{"80/tcp", {{"1.2.3", "1"}}}},
                           {{"80/tcp", {{"", "65536"}}}},
                           {{"80/tcp", {{"", "8010-8000"}}}},
                           {{"80/tcp", {{"", "0-8000"}}}},
                           {{"80/tcp", {{"", "8000-"}}}}};
  for (const PortMap& bindings : cases)
    EXPECT_FALSE(port_requests(bindings, "0.0.0.0")) << bindings.begin()->first;
}

TEST(Ports, AHostRangeIsAskedForAsOne) {
  auto requests = port_requests({{"80/tcp", {{"", "8000-8010"}, {"", "9000-9000"}}}}, "0.0.0.0");
  ASSERT_TRUE(requests);
  EXPECT_EQ((*requests)[0].host_port, 8000);
  EXPECT_EQ((*requests)[0].host_port_last, 8010);
  EXPECT_EQ((*requests)[1].host_port_last, 0);
}

TEST(Ports, BoundOnesAreListedBesideExposedOnes) {
  PortMap ports = bound_ports({{"tcp", "0.0.0.0", 8080, 80}, {"tcp", "::", 8080, 80}}, {"443/tcp"});
  ASSERT_EQ(ports.size(), 2u);
  EXPECT_TRUE(ports.at("443/tcp").empty());
  ASSERT_EQ(ports.at("80/tcp").size(), 2u);
  EXPECT_EQ(ports.at("80/tcp")[1].host_ip, "::");
  EXPECT_EQ(ports.at("80/tcp")[1].host_port, "8080");
}

TEST(Ports, TheMonitorIsToldTheContainersAddress) {
  network::Attachment attachment;
  attachment.link.address = 0xac110002;
  attachment.ports = {{"udp", "0.0.0.0", 5353, 53}};
  auto ports = published_ports(attachment);
  ASSERT_EQ(ports.size(), 1u);
  EXPECT_EQ(ports[0].container_address, 0xac110002u);
  EXPECT_EQ(ports[0].container_port, 53);
  EXPECT_EQ(ports[0].host_port, 5353);
  EXPECT_EQ(ports[0].protocol, "udp");
}

}  // namespace
}  // namespace wherry::engine
