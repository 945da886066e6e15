#include "network/nft_rules.h"

#include <gtest/gtest.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>

#include "base/text.h"

namespace wherry::network {
namespace {

struct Message {
  uint16_t type = 0;
  uint16_t flags = 0;
  std::string_view attributes;
};

std::vector<Message> messages_of(std::string_view batch) {
  std::vector<Message> messages;
  while (!batch.empty()) {
    nlmsghdr header{};
    EXPECT_GE(batch.size(), sizeof header + sizeof(nfgenmsg));
    memcpy(&header, batch.data(), sizeof header);
    EXPECT_LE(header.nlmsg_len, batch.size());
    EXPECT_EQ(header.nlmsg_seq, messages.size() + 1);
    messages.push_back({static_cast<uint16_t>(header.nlmsg_type & 0xff), header.nlmsg_flags,
                        batch.substr(sizeof header + sizeof(nfgenmsg),
                                     header.nlmsg_len - sizeof header - sizeof(nfgenmsg))});
    batch.remove_prefix(header.nlmsg_len);
  }
  return messages;
}

std::string hex(std::string_view bytes) {
  return to_hex({reinterpret_cast<const unsigned char*>(bytes.data()), bytes.size()});
}

size_t elements_in(const Message& message) {
  size_t count = 0;
  auto list = sys::find_attribute(message.attributes, NFTA_SET_ELEM_LIST_ELEMENTS);
  if (list) sys::for_each_attribute(*list, [&](uint16_t, std::string_view) { ++count; });
  return count;
}

const PortElement kWeb{false, 0, 8080, 172u << 24 | 17u << 16 | 2, 80};
const PortElement kDns{true, 10u << 24 | 1, 5353, 172u << 24 | 17u << 16 | 3, 53};

TEST(PortElement, IsKeyedByProtocolAndPortInWholeRegisters) {
  EXPECT_EQ(map_name(kWeb), "ports");
  EXPECT_EQ(hex(to_nft(kWeb).key), "060000001f900000");
  EXPECT_EQ(hex(to_nft(kWeb).data), "ac11000200500000");
}

TEST(PortElement, OfOneHostAddressIsKeyedByItToo) {
  EXPECT_EQ(map_name(kDns), "ports_by_address");
  EXPECT_EQ(hex(to_nft(kDns).key), "0a0000011100000014e90000");
  EXPECT_EQ(hex(to_nft(kDns).data), "ac11000300350000");
}

TEST(Batch, OfNoPortsIsEmpty) {
  EXPECT_EQ(add_ports_batch("wherry", {}), "");
  EXPECT_EQ(delete_ports_batch("wherry", {}), "");
}

TEST(Batch, AddsEachPortToItsMapBetweenBeginAndEnd) {
  std::string batch = add_ports_batch("wherry-x", {kWeb, kDns});
  std::vector<Message> messages = messages_of(batch);
  ASSERT_EQ(messages.size(), 4u);
  EXPECT_EQ(messages[0].type, NFNL_MSG_BATCH_BEGIN);
  EXPECT_EQ(messages[3].type, NFNL_MSG_BATCH_END);
  for (size_t i : {1, 2}) {
    EXPECT_EQ(messages[i].type, NFT_MSG_NEWSETELEM);
    EXPECT_TRUE(messages[i].flags & NLM_F_ACK);
    EXPECT_FALSE(messages[i].flags & NLM_F_EXCL) << "adding twice must not fail";
    EXPECT_EQ(sys::attribute_string(messages[i].attributes, NFTA_SET_ELEM_LIST_TABLE), "wherry-x");
    EXPECT_EQ(elements_in(messages[i]), 1u);
  }
}

TEST(Batch, SplitsManyPortsBelowTheLimitOfAnAttribute) {
  std::vector<PortElement> ports(5000, kWeb);
  for (size_t i = 0; i < ports.size(); ++i) ports[i].host_port = static_cast<uint16_t>(1000 + i);
  std::string batch = add_ports_batch("wherry", ports);
  size_t total = 0;
  for (const Message& message : messages_of(batch)) {
    EXPECT_LT(message.attributes.size(), 65536u);
    if (message.type == NFT_MSG_NEWSETELEM) total += elements_in(message);
  }
  EXPECT_EQ(total, ports.size());
}

TEST(Batch, ReplacesATableInOneTransaction) {
  TablePlan plan{"wherry", "wherry0", 172u << 24 | 17u << 16, 16};
  std::string replacing = install_batch(plan, true, "note", {kWeb});
  std::vector<Message> messages = messages_of(replacing);
  ASSERT_GT(messages.size(), 4u);
  EXPECT_EQ(messages[1].type, NFT_MSG_DELTABLE);
  EXPECT_EQ(messages[2].type, NFT_MSG_NEWTABLE);
  auto note = sys::find_attribute(messages[2].attributes, NFTA_TABLE_USERDATA);
  ASSERT_TRUE(note);
  EXPECT_EQ(parse_nft_comment(*note), "note");
  std::string fresh = install_batch(plan, false, "", {});
  EXPECT_EQ(messages_of(fresh)[1].type, NFT_MSG_NEWTABLE);
}

TEST(Batch, PutsTheDockerRulesBeforeTheClosingReturnAndDropsOldOnes) {
  TablePlan plan{"wherry", "wherry0", 172u << 24 | 17u << 16, 16};
  std::string batch = docker_batch(plan, true, {7}, 42);
  std::vector<Message> messages = messages_of(batch);
  ASSERT_EQ(messages.size(), 5u);
  EXPECT_EQ(messages[1].type, NFT_MSG_DELRULE);
  EXPECT_EQ(sys::attribute_u64_be(messages[1].attributes, NFTA_RULE_HANDLE), 7u);
  for (size_t i : {2, 3}) {
    EXPECT_EQ(messages[i].type, NFT_MSG_NEWRULE);
    EXPECT_FALSE(messages[i].flags & NLM_F_APPEND);
    EXPECT_EQ(sys::attribute_u64_be(messages[i].attributes, NFTA_RULE_POSITION), 42u);
  }
  std::string appended = docker_batch(plan, true, {}, std::nullopt);
  EXPECT_TRUE(messages_of(appended)[1].flags & NLM_F_APPEND);
}

TEST(Comment, SurvivesTheKernelsUserDataAndHostileOnesAreIgnored) {
  EXPECT_EQ(parse_nft_comment(nft_comment("hello")), "hello");
  EXPECT_EQ(parse_nft_comment(std::string("\x05\x01y", 3) + nft_comment("after")), "after");
  EXPECT_EQ(parse_nft_comment(std::string("\0\x20short", 7)), "");
  EXPECT_EQ(parse_nft_comment(std::string("\0", 1)), "");
  EXPECT_EQ(parse_nft_comment(""), "");
}

}  // namespace
}  // namespace wherry::network
