// Checkouts: the same tree through every way of making its files; damage, deaths and the farm.
#include "store/checkout.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/statvfs.h>
#include <sys/wait.h>

#include <cerrno>

#include "base/failpoint.h"
#include "kernel/store/rich_tree.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

using testing::Tree;
using tree::RecordKind;
namespace fs = std::filesystem;

class CheckoutTest : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    char pattern[] = "/tmp/wherry-checkout-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
    prepare();
  }
  void TearDown() override { fs::remove_all(base_); }

  void prepare() {
    for (const char* name : {"/objects", "/farm", "/work"}) fs::create_directories(base_ + name);
  }
  sys::Fd open(const std::string& name) const {
    return sys::Fd(::open((base_ + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  Result<void> make(const Tree& tree, FileWay way, const std::string& name,
                    RecordKind kind = RecordKind::kTree) {
    const std::string bytes = tree.record(kind);
    TRY(tree::RecordReader reader, tree::RecordReader::open(bytes, kind, 1'000'000));
    fs::create_directories(base_ + "/" + name);
    const sys::Fd root = open(name), work = open("work"), objects = open("objects"),
                  farm = open("farm");
    OwnSpans spans(base_);
    spans.begin();
    TRY_VOID(check_out(reader, kind, way,
                       {.root = root.get(),
                        .work = work.get(),
                        .objects = objects.get(),
                        .farm = farm.get(),
                        .spans = &spans}));
    spans.keep();
    return {};
  }
  void expect_same(const Tree& tree, const std::string& name) {
    const sys::Fd root = open(name);
    const std::vector<std::string> found = Tree::walk(root.get()), promised = tree.promised();
    ASSERT_EQ(found.size(), promised.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], promised[i]);
    EXPECT_TRUE(fs::is_empty(base_ + "/work"));
  }
  void expect_made(const Tree& tree, FileWay way, const std::string& name) {
    Result<void> made = make(tree, way, name);
    ASSERT_TRUE(made) << made.error().message();
    expect_same(tree, name);
  }
  std::string object_path(const std::string& content) const {
    return base_ + "/objects/" + object_name(Tree::object_of(content));
  }
  FarmSwept sweep() {
    Result<FarmSwept> swept = sweep_farm(base_);
    EXPECT_TRUE(swept) << swept.error().message();
    return swept ? *swept : FarmSwept();
  }
  size_t farm_files() const {
    size_t count = 0;
    for (const auto& entry : fs::recursive_directory_iterator(base_ + "/farm"))
      count += entry.is_regular_file();
    return count;
  }

  std::string base_;
};

TEST_F(CheckoutTest, CopiesAreWhatTheRecordSays) {
  const Tree tree = testing::rich_tree();
  tree.write_objects(base_ + "/objects");
  expect_made(tree, FileWay::kCopy, "tree");
}

TEST_F(CheckoutTest, LinksOfTheFarmAreWhatTheRecordSaysAndTheSecondTreeHasNoFilesOfItsOwn) {
  const Tree tree = testing::rich_tree();
  tree.write_objects(base_ + "/objects");
  expect_made(tree, FileWay::kFarm, "first");
  const size_t files = farm_files();
  expect_made(tree, FileWay::kFarm, "second");
  EXPECT_EQ(farm_files(), files);
  struct stat one{}, two{};
  ASSERT_EQ(stat((base_ + "/first/bin/busy").c_str(), &one), 0);
  ASSERT_EQ(stat((base_ + "/second/bin/busy").c_str(), &two), 0);
  EXPECT_EQ(one.st_ino, two.st_ino);
  EXPECT_EQ(one.st_nlink, 3u);
}

TEST_F(CheckoutTest, ReflinksShareBlocksOnXfs) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  const std::string disk = base_ + ".disk";
  const std::string commands = "truncate -s 320M " + disk + " && mkfs.xfs -q -m reflink=1 " + disk +
                               " && mount -o loop " + disk + " " + base_;
  ASSERT_EQ(system(commands.c_str()), 0);
  prepare();
  Tree tree = testing::rich_tree();
  tree.file("bin/huge", std::string(30 << 20, 'h'));
  tree.write_objects(base_ + "/objects");
  const auto free_bytes = [&] {
    const sys::Fd objects = open("objects");
    EXPECT_TRUE(sys::sync_filesystem(objects.get()));
    struct statvfs info{};
    EXPECT_EQ(fstatvfs(objects.get(), &info), 0);
    return info.f_bfree * info.f_frsize;
  };
  const uint64_t before = free_bytes();
  expect_made(tree, FileWay::kReflink, "tree");
  expect_made(tree, FileWay::kFarm, "farmed");
  expect_made(tree, FileWay::kCopy, "copied");
  EXPECT_LT(before - free_bytes(), 10u << 20);
  EXPECT_EQ(umount2(base_.c_str(), MNT_DETACH), 0);
  fs::remove(disk);
}

TEST_F(CheckoutTest, ReflinksAreRefusedWhereTheFileSystemHasNone) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  ASSERT_EQ(mount("tmpfs", base_.c_str(), "tmpfs", 0, nullptr), 0);
  prepare();
  Tree tree;
  tree.directory("");
  tree.file("file", "x");
  tree.write_objects(base_ + "/objects");
  Result<void> made = make(tree, FileWay::kReflink, "tree");
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().errnum(), EOPNOTSUPP);
  EXPECT_EQ(umount2(base_.c_str(), MNT_DETACH), 0);
}

TEST_F(CheckoutTest, LayersHaveOverlaysMarksAndTheDirectoriesThatTheyLeaveOut) {
  Tree tree;
  tree.nodes["gone"] = {.type = tree::Type::kWhiteout};
  tree.directory("new", {.opaque = true});
  tree.file("usr/share/doc/readme", "read me");
  tree.nodes["usr/share/old"] = {.type = tree::Type::kWhiteout};
  tree.write_objects(base_ + "/objects");
  Result<void> made = make(tree, FileWay::kFarm, "layer", RecordKind::kLayer);
  ASSERT_TRUE(made) << made.error().message();
  for (const char* name : {"/layer/gone", "/layer/usr/share/old"}) {
    struct stat info{};
    ASSERT_EQ(lstat((base_ + name).c_str(), &info), 0);
    EXPECT_TRUE(S_ISCHR(info.st_mode) && info.st_rdev == 0);
  }
  char value[8];
  EXPECT_EQ(getxattr((base_ + "/layer/new").c_str(), "trusted.overlay.opaque", value, 8), 1);
  struct stat info{};
  ASSERT_EQ(stat((base_ + "/layer/usr/share/doc").c_str(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0755u);
  EXPECT_EQ(info.st_mtime, 0);
}

TEST_F(CheckoutTest, ATreeMayBeAThousandDirectoriesDeep) {
  Tree tree;
  std::string path;
  tree.directory("");
  for (int i = 0; i < 1024; ++i) {
    path += path.empty() ? "d" : "/d";
    tree.directory(path, {.mtime_s = 1000 + i});
  }
  tree.file(path + "/e", "at the bottom");
  // Back to directories that have been closed meanwhile.
  path = "";
  for (int i = 0; i < 1024; ++i) {
    path += path.empty() ? "d" : "/d";
    if (i % 100 == 3) tree.file(path + "/f", "on the way");
  }
  tree.write_objects(base_ + "/objects");
  for (FileWay way : {FileWay::kCopy, FileWay::kFarm}) {
    const std::string name = way == FileWay::kCopy ? "copied" : "farmed";
    Result<void> made = make(tree, way, name);
    ASSERT_TRUE(made) << made.error().message();
    const sys::Fd root = open(name);
    struct stat info{};
    for (int i : {0, 500, 1023}) {
      std::string place = "d";
      for (int k = 0; k < i; ++k) place += "/d";
      ASSERT_EQ(fstatat(root.get(), place.c_str(), &info, 0), 0);
      EXPECT_EQ(info.st_mtime, 1000 + i);
    }
    std::string bottom = "d";
    for (int k = 0; k < 1023; ++k) bottom += "/d";
    EXPECT_EQ(fstatat(root.get(), (bottom + "/e").c_str(), &info, 0), 0);
    EXPECT_EQ(fstatat(root.get(), "d/d/d/d/f", &info, 0), 0);
    ASSERT_TRUE(sys::remove_tree_at(open("").get(), name));
  }
}

TEST_F(CheckoutTest, AMissingOrShortObjectIsNamedWithWhatHealsIt) {
  Tree tree;
  tree.directory("");
  tree.directory("usr");
  tree.file("usr/tool", "the tool's bytes");
  tree.write_objects(base_ + "/objects");
  const std::string object = object_path("the tool's bytes");
  for (FileWay way : {FileWay::kCopy, FileWay::kFarm}) {
    const std::string name = way == FileWay::kCopy ? "copied" : "farmed";
    ASSERT_EQ(truncate(object.c_str(), 3), 0);
    Result<void> made = make(tree, way, name + "1");
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(made.error().message().find("'usr/tool'"), std::string::npos);
    EXPECT_NE(made.error().message().find("3 of 16 bytes"), std::string::npos);
    EXPECT_EQ(made.error().hint(), "load or pull the image again");
    fs::remove(object);
    made = make(tree, way, name + "2");
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(made.error().message().find("is missing"), std::string::npos);
    EXPECT_EQ(made.error().hint(), "load or pull the image again");
    tree.write_objects(base_ + "/objects");
  }
  EXPECT_EQ(farm_files(), 0u);
}

TEST_F(CheckoutTest, AnObjectThatIsALinkIsNotFollowed) {
  Tree tree;
  tree.directory("");
  tree.file("file", "secret");
  tree.write_objects(base_ + "/objects");
  const std::string object = object_path("secret");
  fs::rename(object, base_ + "/elsewhere");
  fs::create_symlink(base_ + "/elsewhere", object);
  EXPECT_FALSE(make(tree, FileWay::kCopy, "tree"));
}

TEST_F(CheckoutTest, AFileOfTheFarmThatIsDamagedIsReplaced) {
  Tree tree;
  tree.directory("");
  tree.file("file", "the right bytes", {.mode = 0640, .uid = 5});
  tree.write_objects(base_ + "/objects");
  expect_made(tree, FileWay::kFarm, "first");
  for (const auto& entry : fs::recursive_directory_iterator(base_ + "/farm"))
    if (entry.is_regular_file()) {
      ASSERT_EQ(truncate(entry.path().c_str(), 0), 0);
    }
  expect_made(tree, FileWay::kFarm, "second");
  for (const auto& entry : fs::recursive_directory_iterator(base_ + "/farm"))
    if (entry.is_regular_file()) {
      ASSERT_EQ(chmod(entry.path().c_str(), 0666), 0);
    }
  expect_made(tree, FileWay::kFarm, "third");
  EXPECT_EQ(farm_files(), 1u);
}

TEST_F(CheckoutTest, AFullFileOfTheFarmGetsABrother) {
  Tree tree;
  tree.directory("");
  tree.file("file", "wanted by many");
  tree.write_objects(base_ + "/objects");
  expect_made(tree, FileWay::kFarm, "first");
  fs::create_directories(base_ + "/names");
  const sys::Fd names = open("names");
  int made = 0;
  while (made < 70'000 && linkat(AT_FDCWD, (base_ + "/first/file").c_str(), names.get(),
                                 std::to_string(made).c_str(), 0) == 0)
    ++made;
  ASSERT_EQ(errno, EMLINK) << "this file system has no limit: run it on ext4";
  expect_made(tree, FileWay::kFarm, "second");
  expect_made(tree, FileWay::kFarm, "third");
  EXPECT_EQ(farm_files(), 2u);
}

TEST_F(CheckoutTest, TheSweepTakesWhatNoTreeHasAndNothingElse) {
  Tree one, two;
  one.directory("");
  one.file("shared", "in both");
  one.file("own", "only in one");
  two.directory("");
  two.file("shared", "in both");
  one.write_objects(base_ + "/objects");
  expect_made(one, FileWay::kFarm, "one");
  expect_made(two, FileWay::kFarm, "two");
  EXPECT_EQ(sweep().files, 0u);
  fs::remove_all(base_ + "/one");
  const FarmSwept swept = sweep();
  EXPECT_EQ(swept.files, 1u);
  EXPECT_EQ(swept.bytes, std::string("only in one").size());
  expect_same(two, "two");
  fs::remove_all(base_ + "/two");
  EXPECT_EQ(sweep().files, 1u);
  EXPECT_EQ(farm_files(), 0u);
}

// Each failpoint, as a death and as a fault: what the farm has afterwards is whole, and the next
// checkout of the same is right.
TEST_F(CheckoutTest, ADeathAtAnyPointLeavesNoHalfFileInTheFarm) {
  const Tree tree = testing::rich_tree();
  tree.write_objects(base_ + "/objects");
  int round = 0;
  for (const char* point : {"store.checkout.begin", "store.checkout.file", "store.farm.made",
                            "store.farm.linked", "store.checkout.done"})
    for (const char* action : {"kill", "eio"}) {
      const std::string name = "round" + std::to_string(++round);
      const pid_t child = fork();
      if (child == 0) {
        const bool often = std::string_view(point) == "store.checkout.file" ||
                           std::string_view(point).starts_with("store.farm");
        setenv("WHERRY_FAILPOINT",
               (std::string(point) + ":" + action + (often ? "@5" : "")).c_str(), 1);
        arm_failpoints();
        _exit(make(tree, FileWay::kFarm, name) ? 0 : 3);
      }
      int status = 0;
      ASSERT_EQ(waitpid(child, &status, 0), child);
      if (std::string_view(action) == "kill")
        EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << point;
      else
        EXPECT_TRUE(WIFEXITED(status) && WEXITSTATUS(status) == 3) << point;
      for (const char* folder : {"/work", "/again"}) fs::remove_all(base_ + folder);
      fs::remove_all(base_ + "/" + name);
      prepare();
      expect_made(tree, FileWay::kFarm, "again");
      fs::remove_all(base_ + "/again");
      sweep();
      EXPECT_EQ(farm_files(), 0u) << point;
    }
}

}  // namespace
}  // namespace wherry::store
