#include "registry/ranges.h"

#include <gtest/gtest.h>

namespace wherry::registry {
namespace {

std::string shown(std::string_view header, uint64_t size) {
  auto answer = parse_range(header, size);
  if (auto* range = std::get_if<ByteRange>(&answer))
    return std::to_string(range->first) + "-" + std::to_string(range->last);
  return std::get<RangeAnswer>(answer) == RangeAnswer::kWhole ? "whole" : "unsatisfiable";
}

TEST(Range, GivesThePartThatIsAskedFor) {
  EXPECT_EQ(shown("bytes=0-0", 10), "0-0");
  EXPECT_EQ(shown("bytes=2-5", 10), "2-5");
  EXPECT_EQ(shown("bytes=2-", 10), "2-9");
  EXPECT_EQ(shown("bytes=2-1000", 10), "2-9");
  EXPECT_EQ(shown("bytes=-3", 10), "7-9");
  EXPECT_EQ(shown("bytes=-30", 10), "0-9");
}

TEST(Range, IsUnsatisfiableBeyondTheEnd) {
  EXPECT_EQ(shown("bytes=10-", 10), "unsatisfiable");
  EXPECT_EQ(shown("bytes=10-12", 10), "unsatisfiable");
  EXPECT_EQ(shown("bytes=-0", 10), "unsatisfiable");
  EXPECT_EQ(shown("bytes=0-", 0), "unsatisfiable");
}

TEST(Range, IsIgnoredWhenMalformedOrOfSeveralParts) {
  for (const char* header : {"", "bytes", "bytes=", "bytes=a-b", "bytes=5-2", "bytes=1-2,4-5",
                             "items=0-1", "bytes=0-99999999999999999999", "bytes=--1", "bytes=-"})
    EXPECT_EQ(shown(header, 10), "whole") << header;
}

TEST(ContentRange, TakesTheSpecificationsFormAndHttps) {
  for (const char* header : {"5-9", "bytes 5-9", "bytes 5-9/10", "5-9/*"}) {
    auto range = parse_content_range(header);
    ASSERT_TRUE(range) << header;
    EXPECT_EQ(range->first, 5u);
    EXPECT_EQ(range->length(), 5u);
  }
}

TEST(ContentRange, RefusesOthers) {
  for (const char* header : {"", "5", "-5", "5-", "9-5", "a-b", "0-99999999999999999999",
                             "0-9223372036854775807", "bytes=0-1", "0-1 "})
    EXPECT_FALSE(parse_content_range(header)) << header;
}

}  // namespace
}  // namespace wherry::registry
