// Keys of the farm, which copy of a file a tree uses, and names.
#include "store/farm.h"

#include <gtest/gtest.h>

#include <set>

#include "store/ladder.h"
#include "store/tree_file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

tree::Entry plain() {
  tree::Entry entry;
  entry.path = "a/file";
  entry.mode = 0644;
  entry.uid = 1;
  entry.gid = 2;
  entry.mtime_s = 3;
  entry.mtime_ns = 4;
  entry.size = 5;
  entry.object.fill(6);
  entry.xattrs = {{"user.a", "x"}, {"user.b", "yz"}};
  return entry;
}

TEST(FarmKey, ChangesWithEverythingThatAFileIs) {
  std::set<Digest> keys = {farm_key(plain())};
  size_t count = 1;
  const auto differs = [&](auto change) {
    tree::Entry entry = plain();
    change(entry);
    keys.insert(farm_key(entry));
    EXPECT_EQ(keys.size(), ++count);
  };
  differs([](auto& e) { e.mode = 04644; });
  differs([](auto& e) { e.uid = 2; });
  differs([](auto& e) { e.gid = 1; });
  differs([](auto& e) { e.mtime_s = -3; });
  differs([](auto& e) { e.mtime_ns = 5; });
  differs([](auto& e) { e.size = 6; });
  differs([](auto& e) { e.object[31] = 7; });
  differs([](auto& e) { e.xattrs.pop_back(); });
  differs([](auto& e) { e.xattrs[0].value = "z"; });
  // The border between a name and its value counts.
  differs([](auto& e) { e.xattrs[0] = {"user.ax", ""}; });
  differs([](auto& e) { e.xattrs = {{"user.ax", "user.byz"}}; });
}

TEST(FarmKey, IsTheSameWhateverTheFileIsCalled) {
  tree::Entry entry = plain();
  entry.path = "elsewhere";
  entry.inode = 9;
  EXPECT_EQ(farm_key(entry), farm_key(plain()));
  // Kept on disks: it must not change.
  EXPECT_EQ(farm_key(tree::Entry()).hex(),
            "84db0e77a772415cb98fa1334d2693f2a1333bc7025e11137c5593e9591bd84d");
}

TEST(FarmName, HasTheFirstByteAsItsFolderAndTheCopyBehind) {
  const Digest key = sys::sha256("x");
  EXPECT_EQ(farm_name(key, 0), key.hex().substr(0, 2) + "/" + key.hex().substr(2));
  EXPECT_EQ(farm_name(key, 12), farm_name(key, 0) + ".12");
}

TEST(FarmUses, GiveEachFurtherFileOfATreeAnotherCopy) {
  FarmUses uses;
  const Digest key = sys::sha256("x");
  for (uint32_t copy = 0; copy < 5; ++copy) {
    EXPECT_EQ(uses.next(key), copy);
    uses.used(key, copy);
  }
  // Some have no room.
  EXPECT_EQ(uses.next(key), 5u);
  uses.used(key, 9);
  EXPECT_EQ(uses.next(key), 10u);
}

TEST(FarmUses, RememberHoweverManyThereAre) {
  FarmUses uses;
  for (int i = 0; i < 20'000; ++i) {
    const Digest key = sys::sha256(std::to_string(i));
    ASSERT_EQ(uses.next(key), 0u);
    uses.used(key, 0);
  }
  for (int i = 0; i < 20'000; ++i) ASSERT_EQ(uses.next(sys::sha256(std::to_string(i))), 1u);
}

TEST(TreeFile, NamesObjectsAndShowsPathsInOneLine) {
  tree::ObjectId id{};
  id[0] = 0xab;
  id[31] = 1;
  EXPECT_EQ(object_name(id), "ab/" + std::string(60, '0') + "01");
  EXPECT_EQ(shown_path(""), "the root");
  EXPECT_EQ(shown_path("a\n\x1b[m\\"), "'a\\x0a\\x1b[m\\x5c'");
  EXPECT_EQ(shown_path(std::string(5000, 'x')).size(), 261u);
}

TEST(Ladder, KnowsItsRungsByNameAndRefusesDockers) {
  for (Rung rung : kRungs) EXPECT_EQ(parse_rung(rung_name(rung)).value(), rung);
  for (const char* name : {"overlay2", "overlay", "vfs", "zfs", "btrfs", "aufs", "overlayfs"}) {
    Result<Rung> rung = parse_rung(name);
    ASSERT_FALSE(rung);
    EXPECT_EQ(rung.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(rung.error().message().find(name), std::string::npos);
    EXPECT_NE(rung.error().hint(), "");
  }
  EXPECT_EQ(parse_rung("farms").error().hint(), "did you mean 'farm'?");
  EXPECT_EQ(parse_rung("").error().kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace wherry::store
