// The start of our static programs (src/apps/libc_start.cc), seen from a program that it starts.
#include <gtest/gtest.h>
#include <sys/wait.h>
#include <array>
#include <cstdio>
#include <string>

namespace {

struct Ended {
  int status;
  std::string said;
};

Ended started(const std::string& word) {
  std::string command = "STARTED_TEST='a word' '" WHERRY_BIN_DIR "/started' " + word + " 2>&1";
  FILE* pipe = popen(command.c_str(), "re");
  if (pipe == nullptr) return {-1, "popen failed"};
  std::string said;
  std::array<char, 4096> part{};
  while (std::size_t size = fread(part.data(), 1, part.size(), pipe))
    said.append(part.data(), size);
  return {pclose(pipe), said};
}

TEST(LibcStart, GivesMainWhatItMayRelyOn) {
  Ended ended = started("");
  EXPECT_EQ(ended.said, "");
  EXPECT_EQ(ended.status, 0);
}

TEST(LibcStart, EndsInReverseOrderWithMainsResult) {
  Ended ended = started("ends");
  EXPECT_EQ(ended.said, "second registered\nfirst registered\ndestroyed\n");
  EXPECT_EQ(WEXITSTATUS(ended.status), 3);
}

TEST(LibcStart, GuardsAreRandomAndStopNoString) {
  std::string first = started("guards").said, second = started("guards").said;
  ASSERT_EQ(first.size(), 34U);
  EXPECT_EQ(first.substr(14, 2), "00");
  EXPECT_NE(first.substr(0, 14), std::string(14, '0'));
  EXPECT_NE(first.substr(0, 16), second.substr(0, 16));
  EXPECT_NE(first.substr(17), second.substr(17));
}

TEST(LibcStart, AnOverrunIsDetected) {
  Ended ended = started("smash");
  EXPECT_NE(ended.said.find("stack smashing detected"), std::string::npos) << ended.said;
}

}  // namespace
