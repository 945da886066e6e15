// Copying as root: owners, attributes, links, devices, overlays, archives, and what must not
// happen.
#include <gtest/gtest.h>
#include <sys/resource.h>
#include <sys/sysmacros.h>

#include <cstdlib>

#include "build/select.h"
#include "sys/mount.h"
#include "unit/archive/tar_builder.h"
#include "unit/build/tree_fixture.h"

namespace wherry::build {
namespace {

using testing::TarBuilder;

// VFS_CAP_REVISION_2 with CAP_NET_RAW permitted and effective.
const std::string kCapability(
    "\x01\x00\x00\x02\x00\x20\x00\x00\x00\x00\x00\x00"
    "\x00\x00\x00\x00\x00\x00\x00\x00",
    20);

class Copy : public TreeFixture {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    umask(077);  // that it does not matter
    TreeFixture::SetUp();
    ASSERT_EQ(mkdir((base_ + "/root").c_str(), 0755), 0);
    std::ofstream(base_ + "/outside") << "alive";
    open_root();
    Result<sys::Fd> lock = sys::open_file(base_ + "/lock", O_RDWR | O_CREAT);
    ASSERT_TRUE(lock);
    lock_ = std::move(*lock);
  }
  void TearDown() override {
    umask(022);
    EXPECT_EQ(content(base_ + "/outside"), "alive");
    root_.reset();
    tree_.reset();
    TreeFixture::TearDown();
  }
  void open_root() {
    Result<sys::Fd> root = sys::open_file(base_ + "/root", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(root);
    root_ = std::move(*root);
  }

  std::string at(const std::string& path) const { return base_ + "/root/" + path; }
  Result<CopyReport> try_copy(const CopySpec& spec) {
    TRY(Selection selection, select(spec, nullptr));
    return build::copy(selection, spec, root_.get(), lock_.get());
  }
  CopyReport copied(const CopySpec& spec) {
    Result<CopyReport> report = try_copy(spec);
    EXPECT_TRUE(report) << report.error().message();
    return report ? *report : CopyReport{};
  }
  CopyReport copied(const std::vector<std::string>& sources, const std::string& destination) {
    return copied(spec(sources, destination));
  }
  std::string refused(const CopySpec& spec) {
    Result<CopyReport> report = try_copy(spec);
    EXPECT_FALSE(report);
    return report ? "" : report.error().message();
  }
  CopySpec adding(const std::vector<std::string>& sources, const std::string& destination) {
    CopySpec add = spec(sources, destination);
    add.add = true;
    return add;
  }

  sys::Fd root_, lock_;
};

TEST_F(Copy, KeepsModeAndTimeAndGivesTheFileToRoot) {
  file("f", "hello", 0741);
  set_time(in("f"), {1'234'567'890, 987'654'321});
  ASSERT_EQ(chown(in("f").c_str(), 1000, 1000), 0);
  CopyReport report = copied({"f"}, "/new/dir/name");
  EXPECT_EQ(report.files, 1u);
  EXPECT_EQ(report.bytes, 5u);
  struct stat info = status(at("new/dir/name"));
  EXPECT_EQ(content(at("new/dir/name")), "hello");
  EXPECT_EQ(info.st_mode, S_IFREG | 0741u);
  EXPECT_EQ(info.st_uid, 0u);
  EXPECT_EQ(info.st_gid, 0u);
  EXPECT_EQ(info.st_mtim.tv_sec, 1'234'567'890);
  EXPECT_EQ(info.st_mtim.tv_nsec, 987'654'321);
  EXPECT_EQ(status(at("new")).st_mode, S_IFDIR | 0755u);
}

TEST_F(Copy, MergesADirectorysContents) {
  file("d/a", "new");
  file("d/sub/b", "new", 0600);
  ASSERT_EQ(chmod(in("d/sub").c_str(), 0701), 0);
  set_time(in("d/sub"), {1'000, 5});
  std::filesystem::create_directories(at("to/sub"));
  std::ofstream(at("to/a")) << "old";
  std::ofstream(at("to/sub/keep")) << "kept";
  ASSERT_EQ(chmod(at("to").c_str(), 0700), 0);
  copied({"d"}, "/to");
  EXPECT_EQ(content(at("to/a")), "new");
  EXPECT_EQ(content(at("to/sub/b")), "new");
  EXPECT_EQ(content(at("to/sub/keep")), "kept");
  EXPECT_EQ(status(at("to")).st_mode & 07777, 0700u);
  EXPECT_EQ(status(at("to/sub")).st_mode & 07777, 0701u);
  EXPECT_EQ(status(at("to/sub")).st_mtim.tv_sec, 1'000);
}

TEST_F(Copy, PutsFilesWhereDockersRulesSay) {
  file("a", "a");
  file("b", "b");
  std::filesystem::create_directory(at("there"));
  copied({"a"}, "/there");
  EXPECT_EQ(content(at("there/a")), "a");
  copied({"a"}, "/slash/");
  EXPECT_EQ(content(at("slash/a")), "a");
  copied({"a", "b"}, "/both");
  EXPECT_EQ(content(at("both/b")), "b");
  EXPECT_EQ(refused(spec({"a", "b"}, "/slash/a")),
            "COPY failed: When using COPY with more than one source file, the destination must be "
            "a directory and end with a /");
  EXPECT_EQ(refused(spec({"?"}, "/absent")),
            "COPY failed: When using COPY with more than one source file, the destination must be "
            "a directory and end with a /");
  copied({"a"}, "/");
  EXPECT_EQ(content(at("a")), "a");
}

TEST_F(Copy, NeverReplacesADirectoryByAFileOrAFileByADirectory) {
  file("d/x", "file");
  directory("e/x");
  std::filesystem::create_directories(at("to/x"));
  std::filesystem::create_directories(at("other"));
  std::ofstream(at("other/x")) << "file";
  EXPECT_EQ(refused(spec({"d"}, "/to")),
            "COPY failed: cannot copy 'd/x': cannot replace directory '/to/x' with a file");
  EXPECT_EQ(refused(spec({"e"}, "/other")),
            "COPY failed: cannot copy to non-directory: '/other/x'");
  EXPECT_EQ(refused(spec({"e"}, "/other/x")),
            "COPY failed: cannot copy to non-directory: '/other/x'");
  EXPECT_EQ(refused(spec({"d/x"}, "/other/x/y")),
            "COPY failed: cannot copy to non-directory: '/other/x/y'");
}

TEST_F(Copy, FollowsLinksInTheDestinationInsideTheRootOnly) {
  file("f", "new");
  std::filesystem::create_directories(at("real"));
  std::filesystem::create_symlink("/real", at("absolute"));
  std::filesystem::create_symlink("../../../../real/deep", at("up"));
  std::filesystem::create_symlink("/outside", at("final"));
  std::filesystem::create_symlink("/run", at("var"));
  copied({"f"}, "/absolute/");
  EXPECT_EQ(content(at("real/f")), "new");
  copied({"f"}, "/up/");  // dangling: made
  EXPECT_EQ(content(at("real/deep/f")), "new");
  copied({"f"}, "/final");
  EXPECT_EQ(content(at("outside")), "new");
  copied({"f"}, "/var/x/");
  EXPECT_EQ(content(at("run/x/f")), "new");
  std::filesystem::create_symlink(base_ + "/outside", at("real/l"));
  file("d/l", "replaces the link");
  copied({"d"}, "/real/");
  EXPECT_EQ(content(at("real/l")), "replaces the link");
  std::filesystem::create_symlink("loop", at("loop"));
  EXPECT_NE(refused(spec({"f"}, "/loop/")).find("too many levels of symbolic links"),
            std::string::npos);
}

TEST_F(Copy, WritesThroughNoHardLinkOfTheImage) {
  file("f", "new");
  std::ofstream(at("f")) << "old";
  std::filesystem::create_hard_link(at("f"), at("twin"));
  copied({"f"}, "/f");
  EXPECT_EQ(content(at("twin")), "old");
}

TEST_F(Copy, ChangesOwnersByNumberAndByTheRootsOwnNames) {
  std::filesystem::create_directory(at("etc"));
  std::ofstream(at("etc/passwd")) << "app:x:70:71::/:/bin/sh\n";
  std::ofstream(at("etc/group")) << "web:x:80:\n";
  file("d/f", "x", 04755);
  struct Case {
    const char* words;
    uid_t uid;
    gid_t gid;
  };
  for (Case c : {Case{"5:6", 5, 6}, Case{"7", 7, 7}, Case{"app", 70, 71}, Case{"app:web", 70, 80},
                 Case{"9:web", 9, 80}}) {
    CopySpec owned = spec({"d"}, std::string("/to/") + c.words);
    owned.chown = c.words;
    copied(owned);
    for (const char* path : {"", "/f"}) {
      struct stat info = status(at(std::string("to/") + c.words + path));
      EXPECT_EQ(info.st_uid, c.uid) << c.words;
      EXPECT_EQ(info.st_gid, c.gid) << c.words;
    }
    EXPECT_EQ(status(at(std::string("to/") + c.words + "/f")).st_mode & 07777, 04755u);
  }
  CopySpec owned = spec({"d"}, "/to/");
  owned.chown = "nobody-here";
  EXPECT_EQ(refused(owned),
            "COPY failed: unable to find user nobody-here: no matching entries in "
            "passwd file");
}

TEST_F(Copy, KeepsOwnersOfStages) {
  file("d/f");
  ASSERT_EQ(chown(in("d/f").c_str(), 123, 456), 0);
  Result<sys::Fd> fd = sys::open_file(base_ + "/context", O_PATH);
  SourceTree stage = SourceTree::root(std::move(*fd), "stage 'build'");
  CopySpec from;
  from.sources = {{&stage, "/d"}};
  from.destination = "/to";
  copied(from);
  EXPECT_EQ(status(at("to/f")).st_uid, 123u);
  EXPECT_EQ(status(at("to/f")).st_gid, 456u);
  EXPECT_EQ(status(at("to")).st_uid, 0u);
  from.sources = {{&stage, "/../missing"}};
  EXPECT_EQ(refused(from), "COPY failed: file '/../missing' not found in stage 'build'");
}

TEST_F(Copy, AppliesChmodToFilesAndDirectories) {
  file("d/f", "x", 0600);
  directory("d/sub", 0700);
  CopySpec with = spec({"d"}, "/to");
  with.chmod = "a=rX,u+w";
  copied(with);
  EXPECT_EQ(status(at("to/f")).st_mode & 07777, 0644u);
  EXPECT_EQ(status(at("to/sub")).st_mode & 07777, 0755u);
  with.chmod = "99";
  EXPECT_NE(refused(with).find("invalid chmod parameter: '99'"), std::string::npos);
}

TEST_F(Copy, KeepsAttributesAndCapabilities) {
  file("f", "x", 0755);
  directory("d/sub");
  ASSERT_EQ(setxattr(in("f").c_str(), "security.capability", kCapability.data(), 20, 0), 0);
  ASSERT_EQ(setxattr(in("f").c_str(), "user.note", "hi", 2, 0), 0);
  ASSERT_EQ(setxattr(in("f").c_str(), "trusted.note", "no", 2, 0), 0);
  ASSERT_EQ(setxattr(in("d/sub").c_str(), "user.note", "dir", 3, 0), 0);
  CopySpec owned = spec({"f"}, "/f");
  owned.chown = "1:1";
  copied(owned);
  char value[64];
  ASSERT_EQ(getxattr(at("f").c_str(), "security.capability", value, sizeof value), 20);
  EXPECT_EQ(std::string(value, 20), kCapability);
  EXPECT_EQ(getxattr(at("f").c_str(), "user.note", value, sizeof value), 2);
  EXPECT_EQ(getxattr(at("f").c_str(), "trusted.note", value, sizeof value), -1);
  copied({"d"}, "/d");
  EXPECT_EQ(getxattr(at("d/sub").c_str(), "user.note", value, sizeof value), 3);
}

TEST_F(Copy, MissesTheCacheWhenACapabilityIsSet) {
  file("f", "x", 0755);
  Digest before = taken({"f"}).key();
  ASSERT_EQ(setxattr(in("f").c_str(), "security.capability", kCapability.data(), 20, 0), 0);
  EXPECT_NE(taken({"f"}).key(), before);
}

TEST_F(Copy, HitsTheCacheWhenOnlyTheHostsOwnerChanges) {
  file("f");
  Digest before = taken({"f"}).key();
  ASSERT_EQ(chown(in("f").c_str(), 1000, 1000), 0);
  EXPECT_EQ(taken({"f"}).key(), before);
}

TEST_F(Copy, KeepsHardLinksLinksAndNodes) {
  file("d/one", "same");
  std::filesystem::create_hard_link(in("d/one"), in("d/two"));
  link("d/link", "one");
  ASSERT_EQ(mkfifo(in("d/fifo").c_str(), 0600), 0);
  ASSERT_EQ(mknod(in("d/null").c_str(), S_IFCHR | 0640, makedev(1, 3)), 0);
  ASSERT_EQ(chmod(in("d/null").c_str(), 0640), 0);
  set_time(in("d/link"), {77, 7});
  copied({"d"}, "/to");
  EXPECT_EQ(status(at("to/one")).st_ino, status(at("to/two")).st_ino);
  EXPECT_EQ(std::filesystem::read_symlink(at("to/link")), "one");
  EXPECT_EQ(status(at("to/link")).st_mtim.tv_sec, 77);
  EXPECT_TRUE(S_ISFIFO(status(at("to/fifo")).st_mode));
  EXPECT_EQ(status(at("to/null")).st_rdev, makedev(1, 3));
  EXPECT_EQ(status(at("to/null")).st_mode & 07777, 0640u);
  copied({"d/one", "d/two"}, "/apart/");
  EXPECT_NE(status(at("apart/one")).st_ino, status(at("apart/two")).st_ino);
}

TEST_F(Copy, KeepsHoles) {
  file("sparse", "");
  constexpr off_t kSize = 64 << 20;
  ASSERT_EQ(truncate(in("sparse").c_str(), kSize), 0);
  sys::Fd fd(open(in("sparse").c_str(), O_WRONLY | O_CLOEXEC));
  ASSERT_EQ(pwrite(fd.get(), "middle", 6, kSize / 2), 6);
  copied({"sparse"}, "/sparse");
  struct stat info = status(at("sparse"));
  EXPECT_EQ(info.st_size, kSize);
  EXPECT_LT(info.st_blocks * 512, 1 << 20);
  EXPECT_EQ(content(at("sparse")), content(in("sparse")));
}

TEST_F(Copy, CopiesBigFilesWhole) {
  std::string big(5'000'001, 'x');
  for (size_t i = 0; i < big.size(); i += 997) big[i] = static_cast<char>(i);
  file("big", big);
  copied({"big"}, "/big");
  EXPECT_EQ(content(at("big")), big);
}

TEST_F(Copy, KeepsParentsWithTheirModes) {
  file("a/b/c", "x");
  ASSERT_EQ(chmod(in("a/b").c_str(), 0711), 0);
  std::filesystem::create_directories(at("to/a"));
  ASSERT_EQ(chmod(at("to/a").c_str(), 0700), 0);
  CopySpec with = spec({"a/b/c"}, "/to/");
  with.parents = true;
  copied(with);
  EXPECT_EQ(content(at("to/a/b/c")), "x");
  EXPECT_EQ(status(at("to/a")).st_mode & 07777, 0700u);
  EXPECT_EQ(status(at("to/a/b")).st_mode & 07777, 0711u);
}

TEST_F(Copy, TakesHeredocs) {
  Result<SourceTree> files =
      SourceTree::files({{"a.txt", "one\n", 0644}, {"b.txt", "two\n", 0644}});
  ASSERT_TRUE(files);
  CopySpec with;
  with.sources = {{&*files, "a.txt"}, {&*files, "b.txt"}};
  with.destination = "/dir/";
  copied(with);
  EXPECT_EQ(content(at("dir/a.txt")), "one\n");
  EXPECT_EQ(content(at("dir/b.txt")), "two\n");
  EXPECT_EQ(status(at("dir/a.txt")).st_mode & 07777, 0644u);
}

TEST_F(Copy, WritesIntoTheUpperOfAnOverlay) {
  for (const char* name : {"lower/etc", "upper", "work"})
    std::filesystem::create_directories(base_ + "/" + name);
  std::ofstream(base_ + "/lower/etc/conf") << "old";
  Result<sys::Filesystem> overlay = sys::Filesystem::open("overlay");
  ASSERT_TRUE(overlay);
  ASSERT_TRUE(overlay->set("lowerdir", base_ + "/lower"));
  ASSERT_TRUE(overlay->set("upperdir", base_ + "/upper"));
  ASSERT_TRUE(overlay->set("workdir", base_ + "/work"));
  Result<sys::Fd> mounted = overlay->mount(0);
  ASSERT_TRUE(mounted) << mounted.error().message();
  root_ = std::move(*mounted);
  file("d/etc/conf", "new", 0755);
  ASSERT_EQ(setxattr(in("d/etc/conf").c_str(), "security.capability", kCapability.data(), 20, 0),
            0);
  copied({"d"}, "/");
  EXPECT_EQ(content(base_ + "/upper/etc/conf"), "new");
  EXPECT_EQ(content(base_ + "/lower/etc/conf"), "old");
  char value[64];
  EXPECT_EQ(getxattr((base_ + "/upper/etc/conf").c_str(), "security.capability", value, 64), 20);
  file("a.tar", TarBuilder().file("from/tar", "t").bytes());
  copied(adding({"a.tar"}, "/opt"));
  EXPECT_EQ(content(base_ + "/upper/opt/from/tar"), "t");
  root_.reset();
}

// ---- what changes under the copy

TEST_F(Copy, RefusesAFileThatIsNotWhatWasHashed) {
  file("d/f", "before");
  CopySpec all = spec({"d"}, "/to");
  Selection selection = selected(all);
  file("d/f", "after!");
  Result<CopyReport> report = build::copy(selection, all, root_.get(), lock_.get());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(report.error().message(), "COPY failed: 'd/f' changed while it was copied");
}

TEST_F(Copy, FollowsNoLinkThatTookTheNameOfAFile) {
  file("d/f", "before");
  CopySpec all = spec({"d"}, "/to");
  Selection selection = selected(all);
  ASSERT_EQ(unlink(in("d/f").c_str()), 0);
  std::filesystem::create_symlink(base_ + "/outside", in("d/f"));
  Result<CopyReport> report = build::copy(selection, all, root_.get(), lock_.get());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().message(), "COPY failed: 'd/f' changed while it was copied");
  EXPECT_FALSE(std::filesystem::exists(at("to/f")));
}

TEST_F(Copy, FollowsNoLinkThatTookTheNameOfADirectory) {
  file("d/s/f", "before");
  CopySpec all = spec({"d"}, "/to");
  Selection selection = selected(all);
  std::filesystem::create_directories(base_ + "/elsewhere/s");
  std::ofstream(base_ + "/elsewhere/s/f") << "secret";
  ASSERT_EQ(rename(in("d").c_str(), in("old").c_str()), 0);
  std::filesystem::create_symlink(base_ + "/elsewhere", in("d"));
  Result<CopyReport> report = build::copy(selection, all, root_.get(), lock_.get());
  ASSERT_FALSE(report);
  EXPECT_EQ(report.error().kind(), ErrorKind::kConflict);
  EXPECT_FALSE(std::filesystem::exists(at("to/s/f")));
}

TEST_F(Copy, DoesNotWaitForAFifoThatTookTheNameOfAFile) {
  file("f", "before");
  CopySpec one = spec({"f"}, "/f");
  Selection selection = selected(one);
  ASSERT_EQ(unlink(in("f").c_str()), 0);
  ASSERT_EQ(mkfifo(in("f").c_str(), 0600), 0);
  EXPECT_FALSE(build::copy(selection, one, root_.get(), lock_.get()));
}

TEST_F(Copy, CopiesAHundredThousandFilesWithFewDescriptors) {
  directory("many");
  sys::Fd many(open(in("many").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  constexpr int kFiles = 100'000;
  for (int i = 0; i < kFiles; ++i)
    sys::Fd(openat(many.get(), std::to_string(i).c_str(), O_CREAT | O_WRONLY | O_CLOEXEC, 0644));
  rlimit few{32, 32}, before{};
  ASSERT_EQ(getrlimit(RLIMIT_NOFILE, &before), 0);
  few.rlim_max = before.rlim_max;
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &few), 0);
  CopyReport report = copied({"many"}, "/many");
  ASSERT_EQ(setrlimit(RLIMIT_NOFILE, &before), 0);
  EXPECT_EQ(report.files, static_cast<uint64_t>(kFiles));
  EXPECT_TRUE(std::filesystem::exists(at("many/99999")));
}

// ---- ADD

class AddArchive : public Copy {
 protected:
  static std::string compressed(const std::string& program, const std::string& file) {
    EXPECT_EQ(system((program + " -c " + file + " > " + file + ".packed").c_str()), 0);
    return content(file + ".packed");
  }
};

TEST_F(AddArchive, UnpacksEveryCompressionWhateverTheName) {
  std::string tar =
      TarBuilder().add({.name = "x/f", .data = "t", .mode = 0751, .uid = 12, .gid = 34}).bytes();
  file("plain", tar);
  for (const char* program : {"gzip", "bzip2", "xz", "zstd"}) {
    file("packed", compressed(program, in("plain")));
    copied(adding({"packed"}, std::string("/") + program));
    std::string unpacked = at(std::string(program) + "/x/f");
    EXPECT_EQ(content(unpacked), "t") << program;
    EXPECT_EQ(status(unpacked).st_uid, 12u);
    EXPECT_EQ(status(unpacked).st_gid, 34u);
    EXPECT_EQ(status(unpacked).st_mode & 07777, 0751u);
  }
  copied(adding({"plain"}, "/tar/"));
  EXPECT_EQ(content(at("tar/x/f")), "t");
  EXPECT_EQ(status(at("tar")).st_mode, S_IFDIR | 0755u);
}

TEST_F(AddArchive, CopiesWhatIsNoArchiveAsAFile) {
  file("text.tar", "no tar");
  file("words", "compressed, but no tar");
  file("words.gz", compressed("gzip", in("words")));
  file("empty.tar", std::string(10240, '\0'));
  file("cut.gz", compressed("gzip", in("words")).substr(0, 12));
  for (const char* name : {"text.tar", "words.gz", "empty.tar", "cut.gz"}) {
    copied(adding({name}, "/to/"));
    EXPECT_EQ(content(at(std::string("to/") + name)), content(in(name))) << name;
  }
}

TEST_F(AddArchive, FailsOnATruncatedOne) {
  std::string tar = TarBuilder().file("a", std::string(4000, 'a')).file("b").bytes();
  file("cut.tar", tar.substr(0, 2000));
  EXPECT_NE(refused(adding({"cut.tar"}, "/to")).find("ADD failed: cannot unpack 'cut.tar'"),
            std::string::npos);
}

TEST_F(AddArchive, GivesEverythingToChown) {
  file("a.tar", TarBuilder().add({.name = "f", .data = "x", .uid = 12, .gid = 34}).bytes());
  CopySpec owned = adding({"a.tar"}, "/to");
  owned.chown = "5:6";
  copied(owned);
  EXPECT_EQ(status(at("to/f")).st_uid, 5u);
  EXPECT_EQ(status(at("to/f")).st_gid, 6u);
  EXPECT_EQ(status(at("to")).st_uid, 5u);
}

TEST_F(AddArchive, LeavesItPackedWhenAskedTo) {
  file("a.tar", TarBuilder().file("f").bytes());
  CopySpec packed = adding({"a.tar"}, "/to/");
  packed.unpack = false;
  copied(packed);
  EXPECT_EQ(content(at("to/a.tar")), content(in("a.tar")));
  copied(spec({"a.tar"}, "/copy/"));
  EXPECT_EQ(content(at("copy/a.tar")), content(in("a.tar")));
}

TEST_F(AddArchive, UnpacksADownloadOnlyWhenAskedTo) {
  std::string tar = TarBuilder().file("f", "t").bytes();
  sys::Fd file(open(base_.c_str(), O_TMPFILE | O_RDWR | O_CLOEXEC, 0600));
  ASSERT_TRUE(sys::write_all(file.get(), tar));
  Result<SourceTree> tree = SourceTree::file("a.tar", std::move(file), 0600, timespec{9, 0}, true);
  ASSERT_TRUE(tree);
  CopySpec add;
  add.add = true;
  add.sources = {{&*tree, "a.tar"}};
  add.destination = "/to/";
  copied(add);
  EXPECT_EQ(content(at("to/a.tar")), tar);
  EXPECT_EQ(status(at("to/a.tar")).st_mode & 07777, 0600u);
  EXPECT_EQ(status(at("to/a.tar")).st_mtim.tv_sec, 9);
  add.unpack = true;
  copied(add);
  EXPECT_EQ(content(at("to/f")), "t");
}

TEST_F(AddArchive, MergesIntoADirectoryThatIsThere) {
  std::filesystem::create_directories(at("to/sub"));
  std::ofstream(at("to/sub/keep")) << "kept";
  ASSERT_EQ(chmod(at("to").c_str(), 0700), 0);
  file("a.tar", TarBuilder()
                    .add({.name = "./", .type = '5', .mode = 0777})
                    .directory("sub")
                    .file("sub/new", "n")
                    .file(".wh.keep", "a name like others")
                    .bytes());
  copied(adding({"a.tar"}, "/to"));
  EXPECT_EQ(content(at("to/sub/keep")), "kept");
  EXPECT_EQ(content(at("to/sub/new")), "n");
  EXPECT_EQ(content(at("to/.wh.keep")), "a name like others");
  EXPECT_EQ(status(at("to")).st_mode & 07777, 0700u);
}

TEST_F(AddArchive, NeverLeavesTheDestination) {
  std::filesystem::create_directories(at("to"));
  file("up.tar", TarBuilder().file("../outside", "bad").bytes());
  EXPECT_NE(refused(adding({"up.tar"}, "/to")).find("has '..'"), std::string::npos);
  file("link.tar", TarBuilder().symlink("l", base_).file("l/outside", "bad").file("ok").bytes());
  // The link is resolved as if the destination were "/".
  [[maybe_unused]] Result<CopyReport> report = try_copy(adding({"link.tar"}, "/to"));
  EXPECT_FALSE(std::filesystem::exists(at("outside")));
}

}  // namespace
}  // namespace wherry::build
