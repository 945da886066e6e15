#include "ocicli/signals.h"

#include <gtest/gtest.h>
#include <signal.h>

namespace wherry::ocicli {
namespace {

TEST(Signals, AreKnownByNumberAndByEverySpellingOfTheName) {
  for (const char* word : {"9", "KILL", "SIGKILL", "kill", "sigkill", "SigKill"})
    EXPECT_EQ(parse_signal(word), SIGKILL) << word;
  EXPECT_EQ(parse_signal("RTMIN+3"), SIGRTMIN + 3);
  EXPECT_EQ(parse_signal("SIGRTMAX-1"), SIGRTMAX - 1);
  EXPECT_EQ(parse_signal("64"), 64);
  EXPECT_EQ(parse_signal("0"), 0);
}

TEST(Signals, ThatDoNotExistAreRefused) {
  for (const char* word : {"", "-9", "+9", "9 ", "65", "99999999999", "NOPE", "SIG", "RTMIN+",
                           "RTMIN+99", "RTMAX+1", "KILL9"})
    EXPECT_EQ(parse_signal(word), std::nullopt) << word;
}

}  // namespace
}  // namespace wherry::ocicli
