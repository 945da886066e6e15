#include "engine/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace wherry::engine {
namespace {

TEST(Signals, AreKnownByNameShortNameAndNumber) {
  for (const char* text : {"SIGTERM", "TERM", "sigterm", "term", "15"})
    EXPECT_EQ(*parse_signal(text), SIGTERM) << text;
  EXPECT_EQ(*parse_signal("KILL"), SIGKILL);
  EXPECT_EQ(*parse_signal("winch"), SIGWINCH);
}

TEST(Signals, RealTimeOnesCountFromTheFirstThatProgramsMayUse) {
  EXPECT_EQ(*parse_signal("RTMIN"), 34);
  EXPECT_EQ(*parse_signal("SIGRTMIN+3"), 37);
  EXPECT_EQ(*parse_signal("RTMAX-1"), 63);
  EXPECT_EQ(*parse_signal("64"), 64);
}

TEST(Signals, InvalidOnesAreNamed) {
  for (const char* text :
       {"", "0", "-9", "65", "+9", "9x", "NOSUCH", "SIG", "RTMIN+31", "RTMAX-x"}) {
    auto parsed = parse_signal(text);
    ASSERT_FALSE(parsed) << text;
    EXPECT_EQ(parsed.error().message(), "invalid signal: " + std::string(text));
    EXPECT_EQ(parsed.error().kind(), ErrorKind::kInvalidArgument);
  }
}

TEST(Signals, NamesReadBackToTheSameNumber) {
  for (int number = 1; number <= 64; ++number) {
    std::string name = signal_name(number);
    if (number == 32 || number == 33) {
      EXPECT_EQ(name, "");
    } else {
      EXPECT_EQ(*parse_signal(name), number) << name;
    }
  }
  EXPECT_EQ(signal_name(0), "");
  EXPECT_EQ(signal_name(65), "");
}

}  // namespace
}  // namespace wherry::engine
