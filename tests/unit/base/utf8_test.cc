#include "base/utf8.h"

#include <gtest/gtest.h>

namespace wherry {
namespace {

TEST(Utf8, IsToldFromWhatIsNot) {
  for (const char* text : {"", "plain", "caf\xc3\xa9", "\xe2\x82\xac", "\xf0\x9f\x9a\x80",
                           "\xf4\x8f\xbf\xbf", "\xed\x9f\xbf", "\xee\x80\x80"})
    EXPECT_TRUE(is_utf8(text)) << text;
  for (const char* text : {"caf\xe9", "\x80", "\xc0\xaf", "\xc1\xbf", "\xe0\x9f\xbf",
                           "\xed\xa0\x80", "\xf0\x8f\xbf\xbf", "\xf4\x90\x80\x80",
                           "\xf5\x80\x80\x80", "\xc3", "\xe2\x82", "\xe2\x82z", "\xff"})
    EXPECT_FALSE(is_utf8(text)) << text;
  EXPECT_TRUE(is_utf8(std::string_view("a\0b", 3)));
}

TEST(Utf8, AnyBytesCarriedAreTextAndComeBack) {
  std::string all;
  for (int byte = 0; byte < 256; ++byte) all += static_cast<char>(byte);
  for (const std::string& bytes :
       {all, all + all, std::string("caf\xe9"), std::string("\xf4\x8f\xbf\xa9"),
        std::string("\xf4\x8f\xbf"), std::string("\xf4\x8f\xbe\xf4\x8f\xbe\x80"),
        to_carried("caf\xe9"), to_carried(to_carried(all))}) {
    EXPECT_TRUE(needs_carrying(bytes));
    EXPECT_TRUE(is_utf8(to_carried(bytes)));
    EXPECT_TRUE(has_carried(to_carried(bytes)));
    EXPECT_EQ(from_carried(to_carried(bytes)), bytes);
  }
}

TEST(Utf8, TextIsCarriedAsItIs) {
  for (const char* text : {"", "plain", "caf\xc3\xa9", "\xf4\x8f\xbd\xbf", "\xf4\x80\x80\x80"}) {
    EXPECT_FALSE(needs_carrying(text));
    EXPECT_EQ(to_carried(text), text);
    EXPECT_EQ(from_carried(text), text);
  }
}

}  // namespace
}  // namespace wherry
