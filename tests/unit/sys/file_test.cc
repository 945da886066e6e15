#include "sys/file.h"

#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cstdlib>

#include "base/failpoint.h"
#include "sys/lock.h"
#include "sys/sha256.h"

namespace wherry::sys {
namespace {

class TempDir : public ::testing::Test {
 protected:
  void SetUp() override {
    std::string pattern = ::testing::TempDir() + "wherry-sys-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    path_ = pattern;
    dir_ = std::move(*open_file(path_, O_RDONLY | O_DIRECTORY));
  }
  void TearDown() override {
    dir_.reset();
    ASSERT_TRUE(remove_tree_at(AT_FDCWD, path_));
  }
  std::string path_;
  Fd dir_;
};

using AtomicFile = TempDir;
using Trees = TempDir;
using Locks = TempDir;
using Opening = TempDir;

TEST_F(AtomicFile, ReplacesTheWholeContentWithTheExactMode) {
  mode_t old_mask = umask(077);
  ASSERT_TRUE(write_file_atomic(dir_.get(), "f", "one", 0644, Sync::kFull));
  ASSERT_TRUE(write_file_atomic(dir_.get(), "f", "two", 0644, Sync::kNone));
  umask(old_mask);
  EXPECT_EQ(*read_file(path_ + "/f", 100), "two");
  struct stat info{};
  ASSERT_EQ(stat((path_ + "/f").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777u, 0644u);
  EXPECT_EQ(list_dir(dir_.get())->size(), 1u);
}

// Failpoints stay armed for a process's life: each in a child of its own.
bool write_fails_at(int dir, const std::string& step) {
  pid_t child = fork();
  if (child == 0) {
    setenv("WHERRY_FAILPOINT", (step + ":enospc").c_str(), 1);
    arm_failpoints();
    Result<void> written = write_file_atomic(dir, "f", "new", 0600, Sync::kFull);
    _exit(!written && written.error().kind() == ErrorKind::kResourceExhausted ? 0 : 1);
  }
  int status = -1;
  return waitpid(child, &status, 0) == child && status == 0;
}

TEST_F(AtomicFile, LeavesTheOldContentAndNoTempFileWhenAStepFails) {
  for (const char* step : {"file.opened", "file.written", "file.synced"}) {
    ASSERT_TRUE(write_file_atomic(dir_.get(), "f", "old", 0600, Sync::kNone));
    EXPECT_TRUE(write_fails_at(dir_.get(), step)) << step;
    EXPECT_EQ(*read_file(path_ + "/f", 100), "old");
    EXPECT_EQ(list_dir(dir_.get())->size(), 1u);
  }
}

TEST_F(Trees, AreRemovedWithoutFollowingLinks) {
  ASSERT_TRUE(make_dirs(path_ + "/a/b/c", 0700));
  ASSERT_TRUE(make_dirs(path_ + "/keep", 0700));
  ASSERT_TRUE(write_file_atomic(dir_.get(), "canary", "x", 0600, Sync::kNone));
  ASSERT_EQ(symlink("../keep", (path_ + "/a/link").c_str()), 0);
  ASSERT_EQ(symlink("../canary", (path_ + "/a/file").c_str()), 0);
  ASSERT_TRUE(remove_tree_at(dir_.get(), "a"));
  EXPECT_FALSE(exists_at(dir_.get(), "a"));
  EXPECT_TRUE(exists_at(dir_.get(), "keep"));
  EXPECT_TRUE(exists_at(dir_.get(), "canary"));
  EXPECT_TRUE(remove_tree_at(dir_.get(), "a")) << "a missing tree is fine";
}

// A container can nest directories as deep as its disk is large; its removal must not fail by that.
TEST_F(Trees, AreRemovedHoweverDeepTheyAre) {
  rlimit files{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &files), 0);
  rlimit few{64, files.rlim_max};
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  Fd at = *make_dirs(path_ + "/deep", 0700);
  Result<void> made;
  for (int i = 0; i < 300 && made; ++i) {
    if (i % 50 == 0) made = write_file_atomic(at.get(), ".removed-1", "x", 0600, Sync::kNone);
    if (made && mkdirat(at.get(), "d", 0700) == 0) at = *open_at(at.get(), "d", O_RDONLY);
  }
  at.reset();
  Result<void> removed = remove_tree_at(dir_.get(), "deep");
  setrlimit(RLIMIT_NOFILE, &files);
  ASSERT_TRUE(made);
  EXPECT_TRUE(removed) << removed.error().message();
  EXPECT_FALSE(exists_at(dir_.get(), "deep"));
  EXPECT_EQ(list_dir(dir_.get())->size(), 0u);
}

TEST_F(Locks, AreFreedWhenTheHolderGoes) {
  EXPECT_FALSE(*is_locked(dir_.get(), "l"));
  {
    Result<FileLock> lock = FileLock::acquire(dir_.get(), "l", FileLock::Mode::kExclusive);
    ASSERT_TRUE(lock);
    EXPECT_TRUE(*is_locked(dir_.get(), "l"));
    EXPECT_FALSE(FileLock::try_acquire(dir_.get(), "l", FileLock::Mode::kExclusive)->has_value());
  }
  EXPECT_FALSE(*is_locked(dir_.get(), "l"));
}

TEST_F(Opening, StaysBeneathTheDirectory) {
  ASSERT_EQ(symlink("/etc/passwd", (path_ + "/out").c_str()), 0);
  ASSERT_EQ(symlink("../../..", (path_ + "/up").c_str()), 0);
  EXPECT_FALSE(open_beneath(dir_.get(), "out", O_RDONLY));
  EXPECT_FALSE(open_beneath(dir_.get(), "up/etc/passwd", O_RDONLY));
  EXPECT_FALSE(open_beneath(dir_.get(), "../x", O_RDONLY));
  // In a root, an absolute link means the root's own file, which is missing here.
  EXPECT_FALSE(open_in_root(dir_.get(), "out", O_RDONLY));
  Result<Fd> clamped = open_in_root(dir_.get(), "../../", O_RDONLY | O_DIRECTORY);
  EXPECT_TRUE(clamped) << clamped.error().message();
}

TEST_F(Opening, ReadsNoMoreThanTheLimit) {
  ASSERT_TRUE(write_file_atomic(dir_.get(), "f", "12345", 0600, Sync::kNone));
  EXPECT_EQ(*read_file(path_ + "/f", 5), "12345");
  Result<std::string> over = read_file(path_ + "/f", 4);
  ASSERT_FALSE(over);
  EXPECT_EQ(over.error().kind(), ErrorKind::kResourceExhausted);
}

TEST(Sha256, GivesTheKnownDigests) {
  EXPECT_EQ(sha256("").hex(), "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
  EXPECT_EQ(sha256("abc").hex(),
            "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

}  // namespace
}  // namespace wherry::sys
