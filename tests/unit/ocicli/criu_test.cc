#include "ocicli/criu.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wherry::ocicli {
namespace {

bool has_pair(const std::vector<std::string>& words, const std::string& a, const std::string& b) {
  for (size_t i = 0; i + 1 < words.size(); ++i)
    if (words[i] == a && words[i + 1] == b) return true;
  return false;
}

oci::RuntimeSpec sample() {
  oci::RuntimeSpec spec;
  spec.mounts = {{"/proc", "proc", "proc", {}, {}, {}},
                 {"/data", "none", "/host/data", {"rbind", "ro"}, {}, {}}};
  spec.masked_paths = {"/proc/kcore"};
  return spec;
}

TEST(Criu, MountsFromOutsideAreNamedByTheirDestination) {
  CriuFlags flags{.image_path = "/i", .work_path = "/w"};
  std::vector<std::string> dump =
      dump_words(flags, sample(), {{"/proc/kcore"}, {"/sys/firmware"}}, 42, false);
  EXPECT_EQ(dump.front(), "dump");
  EXPECT_TRUE(has_pair(dump, "--tree", "42"));
  EXPECT_TRUE(has_pair(dump, "--external", "mnt[/data]:/data"));
  EXPECT_TRUE(has_pair(dump, "--external", "mnt[/proc/kcore]:wherry-masked-file"));
  EXPECT_TRUE(has_pair(dump, "--external", "mnt[/sys/firmware]:wherry-masked-directory"));
  EXPECT_EQ(std::ranges::count(dump, "--external"), 3);
  std::vector<std::string> restore = restore_words(flags, sample(), "/rootfs", "/empty", "/pid");
  EXPECT_TRUE(has_pair(restore, "--root", "/rootfs"));
  EXPECT_TRUE(has_pair(restore, "--external", "mnt[/data]:/host/data"));
  EXPECT_TRUE(has_pair(restore, "--external", "mnt[wherry-masked-file]:/dev/null"));
  EXPECT_TRUE(has_pair(restore, "--external", "mnt[wherry-masked-directory]:/empty"));
}

TEST(Criu, APreDumpTracksMemory) {
  CriuFlags flags{.image_path = "/i", .work_path = "/w"};
  std::vector<std::string> words =
      dump_words(flags, sample(), {{"/proc/kcore"}, {"/sys/firmware"}}, 42, true);
  EXPECT_EQ(words.front(), "pre-dump");
  EXPECT_NE(std::ranges::find(words, "--track-mem"), words.end());
}

TEST(Criu, ComplaintsAreTheErrorLinesOfItsLog) {
  EXPECT_EQ(criu_complaints("(00.01) fine\n(00.02) Error (criu/a.c:1): one\nWarn\n"
                            "Error (criu/b.c:2): two\n",
                            5),
            "Error (criu/a.c:1): one; Error (criu/b.c:2): two");
  EXPECT_EQ(criu_complaints("Error (a): 1\nError (b): 2\n", 1), "Error (a): 1");
  EXPECT_EQ(criu_complaints("", 5), "");
}

}  // namespace
}  // namespace wherry::ocicli
