#include "network/address.h"

#include <gtest/gtest.h>

namespace wherry::network {
namespace {

constexpr uint32_t ip(uint32_t a, uint32_t b, uint32_t c, uint32_t d) {
  return a << 24 | b << 16 | c << 8 | d;
}

TEST(Address, IsReadAndWrittenAsText) {
  EXPECT_EQ(format_address(ip(172, 17, 0, 2)), "172.17.0.2");
  EXPECT_EQ(parse_address("172.17.0.2"), ip(172, 17, 0, 2));
  for (const char* bad : {"", "1.2.3", "1.2.3.4.5", "256.1.1.1", "1.2.3.4 ", "::1", "a.b.c.d"})
    EXPECT_EQ(parse_address(bad), std::nullopt) << bad;
  EXPECT_EQ(parse_address(std::string_view("1.2.3.4\0x", 9)), std::nullopt);
}

TEST(Subnet, IsRefusedWithBitsBehindThePrefix) {
  EXPECT_EQ(parse_subnet("172.17.0.0/16"), (Subnet{ip(172, 17, 0, 0), 16}));
  for (const char* bad : {"172.17.0.1/16", "172.17.0.0", "172.17.0.0/", "172.17.0.0/33", "/16",
                          "172.17.0.0/1 6", "172.17.0.0/-1"})
    EXPECT_EQ(parse_subnet(bad), std::nullopt) << bad;
}

TEST(Subnet, OverlapsARouteThatCoversItOrLiesInIt) {
  Subnet subnet{ip(172, 17, 0, 0), 16};
  EXPECT_TRUE(overlaps(subnet, {{ip(172, 16, 0, 0), 12}}));
  EXPECT_TRUE(overlaps(subnet, {{ip(172, 17, 9, 0), 24}}));
  EXPECT_TRUE(overlaps(subnet, {{ip(172, 17, 0, 5), 32}}));
  EXPECT_TRUE(overlaps(subnet, {{ip(172, 17, 0, 0), 16}}));
  EXPECT_FALSE(overlaps(subnet, {{ip(172, 18, 0, 0), 16}}));
  EXPECT_FALSE(overlaps(subnet, {{ip(172, 16, 0, 0), 16}, {ip(10, 0, 0, 0), 8}}));
}

TEST(Subnet, IgnoresDefaultRoutesAndTheHalvesAVpnUses) {
  EXPECT_EQ(choose_subnet({{0, 0}, {0, 1}, {ip(128, 0, 0, 0), 1}}),
            (Subnet{ip(172, 17, 0, 0), 16}));
}

TEST(Subnet, IsChosenFromTheNextFreeBlock) {
  EXPECT_EQ(choose_subnet({{ip(172, 17, 0, 0), 16}, {ip(172, 18, 4, 0), 24}}),
            (Subnet{ip(172, 19, 0, 0), 16}));
  EXPECT_EQ(choose_subnet({{ip(172, 16, 0, 0), 12}}), (Subnet{ip(192, 168, 0, 0), 20}));
  EXPECT_EQ(choose_subnet({{ip(172, 16, 0, 0), 12}, {ip(192, 168, 1, 0), 24}}),
            (Subnet{ip(192, 168, 16, 0), 20}));
  EXPECT_EQ(choose_subnet({{ip(172, 16, 0, 0), 12}, {ip(192, 168, 0, 0), 16}}), std::nullopt);
}

}  // namespace
}  // namespace wherry::network
