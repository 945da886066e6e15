#include "runtime/users.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "sys/fd.h"

namespace wherry::runtime {
namespace {

constexpr std::string_view kPasswd =
    "root:x:0:0:root:/root:/bin/sh\n"
    "# a comment\n"
    "broken line\n"
    "short:x:5\n"
    "huge:x:99999999999:1::/:/bin/sh\n"
    "web:x:77:88::/srv/web:/bin/sh\n"
    "1000:x:0:0::/evil:/bin/sh\n"
    "nohome:x:12:13:::/bin/sh";
constexpr std::string_view kGroup =
    "root:x:0:\n"
    "web:x:88:\n"
    "logs:x:99:other,web\n"
    "again:x:88:web\n"
    "nearly:x:100:webb,we\n"
    "staff:x:50";

ResolvedUser resolved(std::string_view words) {
  auto user = resolve_user(words, kPasswd, kGroup);
  EXPECT_TRUE(user) << user.error().message();
  return user ? *user : ResolvedUser();
}

std::string refusal(std::string_view words) {
  auto user = resolve_user(words, kPasswd, kGroup);
  EXPECT_FALSE(user) << words;
  return user ? "" : user.error().message();
}

TEST(Users, FindANameWithItsGroupsAndHome) {
  ResolvedUser web = resolved("web");
  EXPECT_EQ(web.uid, 77u);
  EXPECT_EQ(web.gid, 88u);
  EXPECT_EQ(web.groups, (std::vector<uint32_t>{88, 99}));
  EXPECT_EQ(web.home, "/srv/web");
}

TEST(Users, TakeNumbersWithAndWithoutAnEntry) {
  EXPECT_EQ(resolved("77").groups, (std::vector<uint32_t>{88, 99}));
  ResolvedUser unknown = resolved("4242");
  EXPECT_EQ(unknown.uid, 4242u);
  EXPECT_EQ(unknown.gid, 0u);
  EXPECT_EQ(unknown.home, "/");
}

TEST(Users, NeverTakeANumberForAName) {
  ResolvedUser user = resolved("1000");
  EXPECT_EQ(user.uid, 1000u) << "the image's user called \"1000\" has uid 0";
  EXPECT_EQ(user.home, "/");
}

TEST(Users, ReplaceTheGroupAndItsCompanions) {
  ResolvedUser user = resolved("web:staff");
  EXPECT_EQ(user.gid, 50u);
  EXPECT_EQ(user.groups, std::vector<uint32_t>{50});
  EXPECT_EQ(resolved("web:4711").gid, 4711u);
  EXPECT_EQ(resolved("5:6").groups, std::vector<uint32_t>{6});
}

TEST(Users, HaveTheRootForAHomeWhenTheEntryHasNone) {
  EXPECT_EQ(resolved("nohome").home, "/");
}

TEST(Users, RefuseWhatIsNeitherANameNorANumber) {
  EXPECT_EQ(refusal("1000x"), "unable to find user 1000x: no matching entries in passwd file");
  EXPECT_EQ(refusal("short"), "unable to find user short: no matching entries in passwd file");
  EXPECT_EQ(refusal("huge"), "unable to find user huge: no matching entries in passwd file");
  EXPECT_EQ(refusal("web:nogroup"),
            "unable to find group nogroup: no matching entries in group file");
  EXPECT_EQ(refusal(""), "invalid user '': expected user[:group]");
  EXPECT_EQ(refusal("1:"), "invalid user '1:': expected user[:group]");
  EXPECT_EQ(refusal(":1"), "invalid user ':1': expected user[:group]");
  EXPECT_EQ(refusal("-1"), "unable to find user -1: no matching entries in passwd file");
  EXPECT_EQ(refusal("99999999999"),
            "user and group ids must be in the range 0-2147483647, not '99999999999'");
  EXPECT_EQ(refusal("2147483648"),
            "user and group ids must be in the range 0-2147483647, not '2147483648'");
  EXPECT_EQ(refusal("1:2:3"), "unable to find group 2:3: no matching entries in group file");
}

TEST(Users, SurviveFilesOfAnyBytes) {
  std::string bytes;
  for (int i = 0; i < 4096; ++i) bytes.push_back(static_cast<char>(i * 7 + i / 256));
  bytes += "\n:::::\n::::::::\nweb:x:1:2::/h:/s\n";
  auto user = resolve_user("web", bytes, bytes);
  ASSERT_TRUE(user);
  EXPECT_EQ(user->uid, 1u);
}

TEST(Users, HaveTheHomeOfTheirNumberWhateverTheFileIs) {
  char name[] = "/tmp/wherry-users-XXXXXX";
  ASSERT_NE(mkdtemp(name), nullptr);
  const std::string folder = name;
  const auto root = sys::open_file(folder, O_PATH | O_DIRECTORY);
  ASSERT_TRUE(root);
  EXPECT_EQ(home_of(root->get(), 0), "/") << "there is no file";
  std::filesystem::create_directory(folder + "/etc");
  std::ofstream(folder + "/etc/passwd") << kPasswd;
  EXPECT_EQ(home_of(root->get(), 0), "/root");
  EXPECT_EQ(home_of(root->get(), 77), "/srv/web");
  EXPECT_EQ(home_of(root->get(), 12), "/") << "an entry without a home";
  EXPECT_EQ(home_of(root->get(), 4242), "/");
  std::filesystem::remove(folder + "/etc/passwd");
  ASSERT_EQ(mkfifo((folder + "/etc/passwd").c_str(), 0600), 0);
  EXPECT_EQ(home_of(root->get(), 0), "/") << "nobody writes to a FIFO";
  std::filesystem::remove_all(folder);
}

}  // namespace
}  // namespace wherry::runtime
