#include "base/text.h"

#include <gtest/gtest.h>

#include <array>

namespace wherry {
namespace {

TEST(Split, KeepsEmptyParts) {
  EXPECT_EQ(split("a,,b", ','), (std::vector<std::string_view>{"a", "", "b"}));
  EXPECT_EQ(split("", ','), (std::vector<std::string_view>{""}));
}

TEST(SplitOnce, TellsMissingFromEmpty) {
  EXPECT_EQ(split_once("k=", '=').second, "");
  EXPECT_FALSE(split_once("k", '=').second.has_value());
  EXPECT_EQ(split_once("k=a=b", '=').second, "a=b");
}

TEST(ParseNumbers, TakeTheWholeTextOrNothing) {
  EXPECT_EQ(parse_u64("18446744073709551615"), 18446744073709551615u);
  for (const char* bad : {"", " 1", "1 ", "+1", "-1", "0x1", "1e3", "18446744073709551616"})
    EXPECT_FALSE(parse_u64(bad)) << bad;
  EXPECT_EQ(parse_i64("-12"), -12);
  EXPECT_EQ(parse_octal("0755"), 0755u);
  EXPECT_FALSE(parse_octal("8"));
}

TEST(ParseByteSize, TakesDockersUnits) {
  EXPECT_EQ(parse_byte_size("512m"), 512u << 20);
  EXPECT_EQ(parse_byte_size("1.5g"), 1610612736u);
  EXPECT_EQ(parse_byte_size("6MiB"), 6u << 20);
  EXPECT_EQ(parse_byte_size("100"), 100u);
  EXPECT_EQ(parse_byte_size("7b"), 7u);
  EXPECT_EQ(parse_byte_size("2 KB"), 2048u);
}

TEST(ParseByteSize, RefusesWhatIsNoSize) {
  for (const char* bad :
       {"", "m", "-1", "5x", "1e30", "1..5", "1mm", "nan", "bb", "1bb", "99999999p"})
    EXPECT_FALSE(parse_byte_size(bad)) << bad;
}

TEST(Nearest, FindsASlipOfThePen) {
  constexpr std::array<std::string_view, 3> kWords = {"--name", "--env", "--network"};
  EXPECT_EQ(nearest("--nmae", kWords), "--name");
  EXPECT_EQ(nearest("--netwrok", kWords), "--network");
  EXPECT_FALSE(nearest("--completely-else", kWords));
}

TEST(Trim, RemovesWhiteSpaceAtBothEndsOnly) {
  EXPECT_EQ(trim(" \ta b\r\n"), "a b");
  EXPECT_EQ(trim(" \n"), "");
}

}  // namespace
}  // namespace wherry
