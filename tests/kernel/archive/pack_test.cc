// Trees become tars and trees again.
#include <sys/socket.h>
#include <sys/un.h>

#include "kernel/archive/random_tree.h"
#include "kernel/archive/tree_fixture.h"
#include "sys/sha256.h"

namespace wherry::archive {
namespace {

class PackTest : public TreeFixture {
 protected:
  std::string blob_text(const sys::Fd& fd) {
    rewind(fd);
    return *sys::read_all(fd.get(), 1u << 30);
  }
  void expect_refused(const std::string& tree, ErrorKind kind, const std::string& words) {
    Result<Packed> packed = pack(tree);
    ASSERT_FALSE(packed) << "packed, expected: " << words;
    EXPECT_EQ(packed.error().kind(), kind) << packed.error().message();
    EXPECT_NE(packed.error().message().find(words), std::string::npos) << packed.error().message();
  }
};

TEST_F(PackTest, AnyTreeComesBackFromItsTarAndGivesTheSameTarAgain) {
  for (unsigned seed = 1; seed <= 12; ++seed) {
    std::string n = std::to_string(seed);
    std::string tree = make_tree("tree" + n), copy = make_tree("copy" + n);
    RandomTree(tree, seed).grow(150);
    if (HasFatalFailure()) return;
    auto compression = static_cast<Compression>(seed % 3);
    sys::Fd blob = new_file("blob" + n);
    Result<Packed> packed = pack(tree, blob.get(), compression);
    ASSERT_TRUE(packed) << packed.error().message();
    Result<Packed> again = pack(tree);
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_EQ(again->diff_id, packed->diff_id) << seed;
    rewind(blob);
    sys::Fd directory = open(copy);
    Result<Unpacked> unpacked = run_unpack({.tar = blob.get(), .directory = directory.get()});
    ASSERT_TRUE(unpacked) << unpacked.error().message();
    EXPECT_EQ(unpacked->diff_id, packed->diff_id);
    EXPECT_EQ(unpacked->tar_size, packed->tar_size);
    EXPECT_EQ(unpacked->files_size, packed->files_size);
    EXPECT_EQ(unpacked->entries, packed->entries);
    EXPECT_EQ(unpacked->blob, packed->blob);
    EXPECT_EQ(unpacked->blob_size, packed->blob_size);
    EXPECT_EQ(unpacked->blob_compression, compression);
    EXPECT_EQ(unpacked->dropped_xattrs, 0u);
    EXPECT_EQ(described(copy), described(tree)) << seed;
    Result<Packed> round = pack(copy);
    ASSERT_TRUE(round) << round.error().message();
    EXPECT_EQ(round->diff_id, packed->diff_id) << seed;
  }
}

TEST_F(PackTest, MoreEntriesThanAreAllowedAreRefused) {
  std::string tree = make_tree("tree");
  for (const char* name : {"/a", "/b", "/c"}) write(tree + name);
  sys::Fd directory = open(tree);
  EXPECT_EQ(run_pack({.directory = directory.get(), .max_entries = 3})->entries, 3u);
  Result<Packed> packed = run_pack({.directory = directory.get(), .max_entries = 2});
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().kind(), ErrorKind::kResourceExhausted);
  EXPECT_NE(packed.error().message().find("more than 2 entries"), std::string::npos);
}

TEST_F(PackTest, TheBlobIsTheTarCompressedAsAsked) {
  std::string tree = make_tree("tree");
  write(tree + "/zeros", std::string(1'000'000, '\0'));
  std::map<Compression, std::string> text;
  for (Compression one : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    sys::Fd blob = new_file(std::string(compression_name(one)));
    Result<Packed> packed = pack(tree, blob.get(), one);
    ASSERT_TRUE(packed) << packed.error().message();
    text[one] = blob_text(blob);
    EXPECT_EQ(packed->blob, sys::sha256(text[one]));
    EXPECT_EQ(packed->blob_size, text[one].size());
    EXPECT_EQ(packed->diff_id, sys::sha256(text[Compression::kNone]));
    EXPECT_EQ(packed->files_size, 1'000'000u);
  }
  EXPECT_TRUE(text[Compression::kGzip].starts_with("\x1f\x8b"));
  EXPECT_TRUE(text[Compression::kZstd].starts_with("\x28\xb5\x2f\xfd"));
  EXPECT_LT(text[Compression::kGzip].size(), 50'000u);
  EXPECT_LT(text[Compression::kZstd].size(), 50'000u);
}

TEST_F(PackTest, AnEmptyTreeIsTwoBlocksOfZeros) {
  std::string tree = make_tree("tree");
  sys::Fd blob = new_file("blob");
  Result<Packed> packed = pack(tree, blob.get(), Compression::kNone);
  ASSERT_TRUE(packed) << packed.error().message();
  EXPECT_EQ(packed->entries, 0u);
  EXPECT_EQ(blob_text(blob), std::string(1024, '\0'));
  EXPECT_EQ(packed->diff_id, sys::sha256(std::string(1024, '\0')));
}

TEST_F(PackTest, TheRootsOwnModeAndTimeAreNotPartOfTheLayer) {
  std::string tree = make_tree("tree");
  write(tree + "/a");
  Result<Packed> before = pack(tree);
  ASSERT_EQ(chmod(tree.c_str(), 0700), 0);
  Result<Packed> after = pack(tree);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->diff_id, after->diff_id);
}

TEST_F(PackTest, ARootThatHidesTheLayersBelowSaysSo) {
  std::string tree = make_tree("tree"), copy = make_tree("copy");
  ASSERT_EQ(setxattr(tree.c_str(), "trusted.overlay.opaque", "y", 1, 0), 0);
  sys::Fd blob = new_file("blob"), directory = open(copy);
  ASSERT_TRUE(pack(tree, blob.get()));
  rewind(blob);
  Result<Unpacked> unpacked = run_unpack({.tar = blob.get(), .directory = directory.get()});
  ASSERT_TRUE(unpacked);
  EXPECT_EQ(unpacked->opaque, std::vector<std::string>{""});
  EXPECT_EQ(getxattr(copy.c_str(), "trusted.overlay.opaque", nullptr, 0), 1);
}

TEST_F(PackTest, SocketsAndAttributesOfThisMachineStayBehind) {
  std::string tree = make_tree("tree");
  write(tree + "/a");
  timespec times[2] = {{1, 0}, {1, 0}};
  ASSERT_EQ(utimensat(AT_FDCWD, (tree + "/a").c_str(), times, 0), 0);
  Result<Packed> before = pack(tree);
  sys::Fd socket_fd(socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{.sun_family = AF_UNIX, .sun_path = {}};
  snprintf(address.sun_path, sizeof address.sun_path, "%s/socket", tree.c_str());
  ASSERT_EQ(bind(socket_fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  ASSERT_EQ(setxattr((tree + "/a").c_str(), "trusted.note", "n", 1, 0), 0);
  ASSERT_EQ(setxattr((tree + "/a").c_str(), "user.overlay.opaque", "y", 1, 0), 0);
  Result<Packed> after = pack(tree);
  ASSERT_TRUE(before && after);
  EXPECT_EQ(before->diff_id, after->diff_id);
}

TEST_F(PackTest, WhiteoutsThatShareOneInodeAreEachOneFile) {
  std::string tree = make_tree("tree"), copy = make_tree("copy");
  ASSERT_EQ(mknod((tree + "/a").c_str(), S_IFCHR, 0), 0);
  ASSERT_EQ(link((tree + "/a").c_str(), (tree + "/b").c_str()), 0);
  sys::Fd blob = new_file("blob"), directory = open(copy);
  ASSERT_TRUE(pack(tree, blob.get()));
  rewind(blob);
  ASSERT_TRUE(run_unpack({.tar = blob.get(), .directory = directory.get()}));
  EXPECT_EQ(described(copy), described(tree));
}

TEST_F(PackTest, WhatALayerCannotSayIsRefusedByName) {
  std::string tree = make_tree("tree");
  write(tree + "/.wh.real");
  expect_refused(tree, ErrorKind::kUnsupported, "cannot pack '.wh.real'");
  std::filesystem::remove(tree + "/.wh.real");
  write(tree + "/f");
  ASSERT_EQ(setxattr((tree + "/f").c_str(), "user.a=b", "v", 1, 0), 0);
  expect_refused(tree, ErrorKind::kUnsupported, "'user.a=b'");
}

TEST_F(PackTest, ATreeThatRefersToOtherLayersIsRefusedByName) {
  std::string moved = make_tree("moved");
  ASSERT_EQ(mkdir((moved + "/d").c_str(), 0755), 0);
  ASSERT_EQ(setxattr((moved + "/d").c_str(), "trusted.overlay.redirect", "/old", 4, 0), 0);
  expect_refused(moved, ErrorKind::kUnsupported, "'d' refers to other layers");
  std::string meta = make_tree("meta");
  write(meta + "/f", "");
  ASSERT_EQ(truncate((meta + "/f").c_str(), 5000), 0);
  ASSERT_TRUE(pack(meta)) << "a hole is a file";
  ASSERT_EQ(setxattr((meta + "/f").c_str(), "trusted.overlay.metacopy", "", 0, 0), 0);
  expect_refused(meta, ErrorKind::kUnsupported, "'f' refers to other layers");
}

TEST_F(PackTest, AFileThatGrowsWhileItIsReadIsAnErrorThatNamesIt) {
  std::string tree = make_tree("tree");
  write(tree + "/log", "12345");
  setenv("WHERRY_FAILPOINT", "archive.pack.copied:stop", 1);
  sys::Fd directory = open(tree);
  Result<Packing> packing = Packing::start({.directory = directory.get()});
  ASSERT_TRUE(packing);
  pid_t pid = std::stoi(children());
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED), 0);
  ASSERT_EQ(info.si_code, CLD_STOPPED);
  std::ofstream(tree + "/log", std::ios::app) << "6";
  ASSERT_EQ(kill(pid, SIGCONT), 0);
  Result<Packed> packed = packing->finish();
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().kind(), ErrorKind::kConflict);
  EXPECT_NE(packed.error().message().find("'log': it changed"), std::string::npos);
}

TEST_F(PackTest, ADiskThatIsFullWhenTheBlobIsWrittenIsAnError) {
  std::string tree = make_tree("tree");
  write(tree + "/f", std::string(5'000'000, 'f'));
  setenv("WHERRY_FAILPOINT", "archive.blob.write:enospc", 1);
  sys::Fd blob = new_file("blob");
  Result<Packed> packed = pack(tree, blob.get(), Compression::kNone);
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().errnum(), ENOSPC) << packed.error().message();
}

TEST_F(PackTest, AHelperThatDiesIsAnErrorThatSaysHow) {
  std::string tree = make_tree("tree");
  write(tree + "/f");
  setenv("WHERRY_FAILPOINT", "archive.pack.entry:kill", 1);
  Result<Packed> packed = pack(tree);
  ASSERT_FALSE(packed);
  EXPECT_EQ(packed.error().message(), "wherry-unpack was killed by signal 9");
}

TEST_F(PackTest, OneThatIsDroppedIsKilledAndReaped) {
  std::string tree = make_tree("tree");
  write(tree + "/f");
  setenv("WHERRY_FAILPOINT", "archive.pack.entry:stop", 1);
  {
    sys::Fd directory = open(tree);
    Result<Packing> packing = Packing::start({.directory = directory.get()});
    ASSERT_TRUE(packing);
    EXPECT_NE(children(), "");
  }
  EXPECT_EQ(children(), "");
}

}  // namespace
}  // namespace wherry::archive
