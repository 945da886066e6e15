#include "sys/netlink.h"

#include <gtest/gtest.h>

namespace wherry::sys {
namespace {

TEST(NetlinkBuffer, AlignsAndCountsWhatItIsGiven) {
  NetlinkBuffer buffer;
  EXPECT_EQ(buffer.begin(16, NLM_F_ACK), 1u);
  buffer.put_u8(1, 0xab);
  {
    NetlinkBuffer::Nest outer(buffer, 2);
    buffer.put_string(3, "eth0");
    NetlinkBuffer::Nest inner(buffer, 4);
    buffer.put_u32_be(5, 0x01020304);
  }
  EXPECT_EQ(buffer.begin(17, 0), 2u);
  std::string_view bytes = buffer.bytes();
  nlmsghdr first{};
  memcpy(&first, bytes.data(), sizeof first);
  EXPECT_EQ(first.nlmsg_len, bytes.size() - sizeof(nlmsghdr));
  EXPECT_EQ(first.nlmsg_flags, NLM_F_REQUEST | NLM_F_ACK);
  std::string_view attributes = bytes.substr(sizeof first, first.nlmsg_len - sizeof first);
  EXPECT_EQ(find_attribute(attributes, 1), "\xab");
  std::optional<std::string_view> outer = find_attribute(attributes, 2);
  ASSERT_TRUE(outer);
  EXPECT_EQ(attribute_string(*outer, 3), "eth0");
  std::optional<std::string_view> inner = find_attribute(*outer, 4);
  ASSERT_TRUE(inner);
  EXPECT_EQ(attribute_u32_be(*inner, 5), 0x01020304u);
  EXPECT_EQ(find_attribute(attributes, 9), std::nullopt);
}

TEST(NetlinkAttributes, StopAtTheFirstMalformedOne) {
  NetlinkBuffer buffer;
  buffer.begin(16, 0);
  buffer.put_u32(1, 7);
  buffer.put_u32(2, 8);
  std::string good(buffer.bytes().substr(sizeof(nlmsghdr)));
  for (size_t length = 0; length <= good.size(); ++length) {
    int seen = 0;
    for_each_attribute(std::string_view(good).substr(0, length),
                       [&](uint16_t, std::string_view value) {
                         EXPECT_EQ(value.size(), 4u);
                         ++seen;
                       });
    EXPECT_EQ(seen, static_cast<int>(length / 8)) << length;
  }
  for (char length : {0, 3, 100}) {
    std::string bad = good;
    bad[0] = length;
    bad[1] = 0;
    EXPECT_EQ(find_attribute(bad, 1), std::nullopt);
    EXPECT_EQ(find_attribute(bad, 2), std::nullopt);
  }
  EXPECT_EQ(attribute_u64_be(good, 1), std::nullopt) << "another size";
}

}  // namespace
}  // namespace wherry::sys
