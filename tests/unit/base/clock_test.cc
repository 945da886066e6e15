#include "base/clock.h"

#include <gtest/gtest.h>

namespace wherry {
namespace {

TEST(Rfc3339, WritesAsGoDoes) {
  EXPECT_EQ(format_rfc3339(0), "1970-01-01T00:00:00Z");
  EXPECT_EQ(format_rfc3339(1'500'000'000), "1970-01-01T00:00:01.5Z");
  EXPECT_EQ(format_rfc3339_fixed(1'500'000'000), "1970-01-01T00:00:01.500000000Z");
  EXPECT_EQ(format_rfc3339(-1), "1969-12-31T23:59:59.999999999Z");
}

TEST(Rfc3339, ReadsBackWhatItWrote) {
  for (int64_t time : {int64_t{0}, int64_t{1'795'000'000'123'456'789}, int64_t{-5'000'000'001}})
    EXPECT_EQ(parse_rfc3339(format_rfc3339(time)), time);
}

TEST(Rfc3339, ReadsOffsets) {
  EXPECT_EQ(parse_rfc3339("1970-01-01T02:00:00+02:00"), 0);
  EXPECT_EQ(parse_rfc3339("1969-12-31T19:30:00-04:30"), 0);
}

TEST(Rfc3339, RefusesWhatIsNoTime) {
  for (const char* bad : {"", "1970", "1970-13-01T00:00:00Z", "1970-01-01T24:00:00Z",
                          "1970-01-01T00:00:00", "1970-01-01T00:00:00.Z", "1970-01-01T00:00:00Zx",
                          "0001-01-01T00:00:00Z", "9999-12-31T00:00:00Z"})
    EXPECT_FALSE(parse_rfc3339(bad)) << bad;
}

TEST(GoDuration, ReadsSumsOfUnits) {
  EXPECT_EQ(parse_go_duration("1h30m"), 5400'000'000'000);
  EXPECT_EQ(parse_go_duration("100ms"), 100'000'000);
  EXPECT_EQ(parse_go_duration("-5s"), -5'000'000'000);
  EXPECT_EQ(parse_go_duration("0"), 0);
  for (const char* bad : {"", "5", "1x", "s", "1.2.3s", "1h-5m", "99999999999999h"})
    EXPECT_FALSE(parse_go_duration(bad)) << bad;
}

TEST(HumanDuration, SpeaksDockersWords) {
  constexpr int64_t kSecond = 1'000'000'000;
  struct Case {
    int64_t seconds;
    const char* words;
  };
  for (auto [seconds, words] :
       {Case{0, "Less than a second"}, Case{1, "1 second"}, Case{59, "59 seconds"},
        Case{60, "About a minute"}, Case{150, "2 minutes"}, Case{3600, "About an hour"},
        Case{47 * 3600, "47 hours"}, Case{48 * 3600, "2 days"}, Case{14 * 86400, "2 weeks"},
        Case{60 * 86400, "2 months"}, Case{3 * 365 * 86400, "3 years"}})
    EXPECT_EQ(human_duration(seconds * kSecond), words);
}

TEST(TimeBound, TakesAllOfDockersForms) {
  constexpr int64_t kNow = 1'000'000'000'000'000'000;
  constexpr int64_t kSecond = 1'000'000'000;
  EXPECT_EQ(parse_time_bound("2001-09-09T01:46:40Z", kNow), kNow);
  EXPECT_EQ(parse_time_bound("2001-09-09T03:46:40+02:00", kNow), kNow);
  EXPECT_EQ(parse_time_bound("1000000000", kNow), kNow);
  EXPECT_EQ(parse_time_bound("1000000000.25", kNow), kNow + kSecond / 4);
  EXPECT_EQ(parse_time_bound("10m", kNow), kNow - 600 * kSecond);
  EXPECT_EQ(parse_time_bound("1h30m", kNow), kNow - 5400 * kSecond);
  EXPECT_TRUE(parse_time_bound("2001-09-09", kNow));
  EXPECT_TRUE(parse_time_bound("2001-09-09T01:46", kNow));
  for (std::string_view bad :
       {"", "x", "yesterday", "1.", "1.2.3", "99999999999999999999", "2001-13-01"})
    EXPECT_FALSE(parse_time_bound(bad, kNow)) << bad;
}

}  // namespace
}  // namespace wherry
