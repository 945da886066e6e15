// What a COPY's key covers: the table of probes that other builders were measured with, and the
// digests that are remembered between builds.
#include <sys/xattr.h>

#include <fstream>

#include "base/failpoint.h"
#include "build/file_content.h"
#include "state/file_digests.h"
#include "unit/build/tree_fixture.h"

namespace wherry::build {
namespace {

constexpr timespec kOld{1'000'000'000, 123'456'789};

class CopyKey : public TreeFixture {
 protected:
  void SetUp() override {
    TreeFixture::SetUp();
    file("d/f", "content");
    file("d/sub/g", "other");
    Result<state::Database> database = state::Database::open(base_ + "/state");
    ASSERT_TRUE(database) << database.error().message();
    database_ = std::make_unique<state::Database>(std::move(*database));
    let_time_pass();
    before_ = key();
  }
  void TearDown() override {
    database_.reset();
    TreeFixture::TearDown();
  }
  // Until what was written so far is old enough to be remembered.
  static void let_time_pass() {
    timespec begin{}, now{};
    clock_gettime(CLOCK_REALTIME, &begin);
    do {
      clock_gettime(CLOCK_REALTIME, &now);
    } while (!may_remember(nanoseconds(begin) + 1, nanoseconds(now)));
  }
  std::string key(const CopySpec& spec) { return selected(spec, database_.get()).key().str(); }
  std::string key() { return key(spec({"d/"}, "/d/")); }
  size_t remembered() {
    Result<state::Statement> count = database_->prepare("SELECT COUNT(*) FROM file_digests");
    EXPECT_TRUE(count && count->step());
    return static_cast<size_t>(count->integer(0));
  }

  std::unique_ptr<state::Database> database_;
  std::string before_;
};

TEST_F(CopyKey, HitsWhenOnlyTimesChange) {
  set_time(in("d/f"), kOld);
  set_time(in("d/sub"), kOld);
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, MissesWhenAFilesModeChanges) {
  ASSERT_EQ(chmod(in("d/f").c_str(), 0664), 0);
  EXPECT_NE(key(), before_);
  ASSERT_EQ(chmod(in("d/f").c_str(), 0755), 0);
  EXPECT_NE(key(), before_);
  ASSERT_EQ(chmod(in("d/f").c_str(), 0644), 0);
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, MissesWhenADirectorysModeChanges) {
  ASSERT_EQ(chmod(in("d/sub").c_str(), 0775), 0);
  EXPECT_NE(key(), before_);
}

TEST_F(CopyKey, MissesWhenAnAttributeIsSet) {
  ASSERT_EQ(setxattr(in("d/f").c_str(), "user.a", "1", 1, 0), 0) << "needs user attributes in /tmp";
  std::string with = key();
  EXPECT_NE(with, before_);
  ASSERT_EQ(setxattr(in("d/f").c_str(), "user.a", "2", 1, 0), 0);
  EXPECT_NE(key(), with);
  ASSERT_EQ(removexattr(in("d/f").c_str(), "user.a"), 0);
  EXPECT_EQ(key(), before_);
  ASSERT_EQ(setxattr(in("d/sub").c_str(), "user.a", "1", 1, 0), 0);
  EXPECT_NE(key(), before_);
}

TEST_F(CopyKey, MissesWhenDataChangesBehindTheSameSizeAndTime) {
  struct stat status = this->status(in("d/f"));
  file("d/f", "CONTENT");
  set_time(in("d/f"), status.st_mtim);
  EXPECT_NE(key(), before_);
  file("d/f", "content");
  set_time(in("d/f"), status.st_mtim);
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, HitsWhenAnIdenticalFileHasANewInode) {
  file("d/new", "content");
  ASSERT_EQ(rename(in("d/new").c_str(), in("d/f").c_str()), 0);
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, HitsWhenACopyBecomesAHardLink) {
  file("d/h", "content");
  std::string with = key();
  ASSERT_EQ(unlink(in("d/h").c_str()), 0);
  ASSERT_EQ(::link(in("d/f").c_str(), in("d/h").c_str()), 0);
  EXPECT_EQ(key(), with);
}

TEST_F(CopyKey, MissesWhenNamesChangeOrAppear) {
  ASSERT_EQ(rename(in("d/f").c_str(), in("d/e").c_str()), 0);
  EXPECT_NE(key(), before_);
  ASSERT_EQ(rename(in("d/e").c_str(), in("d/f").c_str()), 0);
  EXPECT_EQ(key(), before_);
  directory("d/empty");
  EXPECT_NE(key(), before_);
}

TEST_F(CopyKey, MissesWhenALinkPointsElsewhere) {
  link("d/l", "f");
  std::string with = key();
  EXPECT_NE(with, before_);
  ASSERT_EQ(unlink(in("d/l").c_str()), 0);
  link("d/l", "sub/g");
  EXPECT_NE(key(), with);
}

TEST_F(CopyKey, HitsWhenTheSourceDirectoryIsRenamedBecauseTheResultIsTheSame) {
  ASSERT_EQ(rename(in("d").c_str(), in("e").c_str()), 0);
  EXPECT_EQ(key(spec({"e/"}, "/d/")), before_);
}

TEST_F(CopyKey, MissesWhenASourceFileIsRenamed) {
  std::string one = key(spec({"d/f"}, "/x"));
  ASSERT_EQ(rename(in("d/f").c_str(), in("d/h").c_str()), 0);
  EXPECT_NE(key(spec({"d/h"}, "/x")), one);
}

TEST_F(CopyKey, CoversDestinationAndOwnerWords) {
  EXPECT_NE(key(spec({"d/"}, "/e/")), before_);
  CopySpec owned = spec({"d/"}, "/d/");
  owned.chown = "app";
  EXPECT_NE(key(owned), before_);
}

TEST_F(CopyKey, LeavesTheSourcesModeOutUnderChmod) {
  CopySpec fixed = spec({"d/"}, "/d/");
  fixed.chmod = "755";
  std::string one = key(fixed);
  EXPECT_NE(one, before_);
  ASSERT_EQ(chmod(in("d/f").c_str(), 0600), 0);
  ASSERT_EQ(chmod(in("d/sub").c_str(), 0700), 0);
  EXPECT_EQ(key(fixed), one);
}

TEST_F(CopyKey, CountsOwnersOnlyWhereTheyAreKept) {
  auto parts = [&](SourceTree tree) {
    CopySpec spec;
    spec.sources = {{&tree, "d"}};
    spec.destination = "/d/";
    return selected(spec).parts;
  };
  std::string owner = std::to_string(getuid()) + ":" + std::to_string(getgid());
  auto root = [&] { return std::move(*sys::open_file(base_ + "/context", O_PATH)); };
  EXPECT_NE(parts(SourceTree::root(root(), "stage 'x'")).find(" " + owner + " 7 "),
            std::string::npos);
  EXPECT_NE(parts(SourceTree::context(root(), {})).find("f 0644 - 7 "), std::string::npos);
}

TEST_F(CopyKey, IsTheDigestOfPartsThatCanBeRead) {
  Selection selection = selected(spec({"d/"}, "/d/"));
  std::string sha = "ed7002b439e9ac845f22357d822bac1444730fbdb6016d3ec9432297b9ec9f73";
  EXPECT_EQ(selection.parts.substr(0, selection.parts.find("d 0755")),
            "copy 1\ndestination /d/\narguments 1\nsource directory\nf 0644 - 7 " + sha + " - f\n");
  EXPECT_EQ(selection.key().str(), before_);
}

TEST_F(CopyKey, RemembersEveryFileAndReadsNoneAgain) {
  EXPECT_EQ(remembered(), 3u);  // two files, one directory
  // A wrong memory shows that nothing is read.
  std::string zeros(64, '0');
  Result<state::Statement> forge =
      database_->prepare("UPDATE file_digests SET digest='" + zeros + "' WHERE size=7");
  ASSERT_TRUE(forge && forge->run());
  EXPECT_NE(key(), before_);
  Result<int64_t> cleared = state::clear_file_digests(*database_);
  ASSERT_TRUE(cleared);
  EXPECT_EQ(*cleared, 3);
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, DoesNotBelieveARowOfAnotherShape) {
  Result<state::Statement> forge = database_->prepare("UPDATE file_digests SET digest='nonsense'");
  ASSERT_TRUE(forge && forge->run());
  EXPECT_EQ(key(), before_);
}

TEST_F(CopyKey, DoesNotRememberWhatWasWrittenJustNow) {
  timespec now{};
  clock_gettime(CLOCK_REALTIME, &now);
  int64_t ns = nanoseconds(now);
  EXPECT_FALSE(may_remember(ns, ns));
  EXPECT_FALSE(may_remember(ns + 1, ns));
  EXPECT_FALSE(may_remember(ns - 10'000'000 - (ns % 10'000'000 == 0), ns));
  EXPECT_TRUE(may_remember(1'000'000'001, 2'000'000'000));
  // A file system that counts seconds.
  EXPECT_FALSE(may_remember(1'000'000'000, 2'000'000'000));
  EXPECT_TRUE(may_remember(1'000'000'000, 9'000'000'000));
}

}  // namespace
}  // namespace wherry::build
