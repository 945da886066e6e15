// What an import makes of entries, good and hostile.
#include <sys/sysmacros.h>
#include <sys/xattr.h>

#include "kernel/store/store_fixture.h"
#include "oci/image.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

using testing::compress;
using testing::TarBuilder;
using testing::TarEntry;

class ImportTest : public StoreFixture {};

TEST_F(ImportTest, KeepsOwnersModesTimesLinksAndKinds) {
  std::string tree = tree_of(
      TarBuilder()
          .add({.name = "./", .type = '5', .mode = 0711, .mtime = 5})
          .add(
              {.name = "bin/su", .data = "su", .mode = 04755, .uid = 7, .gid = 8, .mtime = 1234567})
          .hard_link("bin/su2", "bin/su")
          .symlink("bin/sh", "/usr/bin/dash")
          .add({.name = "tmp", .type = '5', .mode = 01777, .mtime = 99})
          .file("tmp/later", "changes the directory's time")
          .add({.name = "dev/null", .type = '3', .mode = 0666, .major = 1, .minor = 3})
          .add({.name = "dev/sda", .type = '4', .mode = 0660, .gid = 6, .major = 8})
          .add({.name = "run/fifo", .type = '6', .mode = 0600}));
  EXPECT_EQ(info_of(tree).st_mode & 07777, 0711u);
  EXPECT_EQ(info_of(tree).st_mtime, 5);
  struct stat su = info_of(tree + "/bin/su");
  EXPECT_EQ(su.st_mode, S_IFREG | 04755u);
  EXPECT_EQ(su.st_uid, 7u);
  EXPECT_EQ(su.st_gid, 8u);
  EXPECT_EQ(su.st_mtime, 1234567);
  EXPECT_EQ(su.st_nlink, 2u);
  EXPECT_EQ(info_of(tree + "/bin/su2").st_ino, su.st_ino);
  EXPECT_EQ(std::filesystem::read_symlink(tree + "/bin/sh"), "/usr/bin/dash");
  EXPECT_EQ(info_of(tree + "/bin").st_mode & 07777, 0755u);
  EXPECT_EQ(info_of(tree + "/tmp").st_mode & 07777, 01777u);
  EXPECT_EQ(info_of(tree + "/tmp").st_mtime, 99);
  EXPECT_EQ(info_of(tree + "/dev/null").st_rdev, makedev(1, 3));
  EXPECT_TRUE(S_ISBLK(info_of(tree + "/dev/sda").st_mode));
  EXPECT_TRUE(S_ISFIFO(info_of(tree + "/run/fifo").st_mode));
}

TEST_F(ImportTest, TheImageSaysWhatWasImported) {
  std::string tar = TarBuilder().file("a", "12345").file("b", "123").bytes();
  ImportOptions options = named("team/app:1");
  options.changes = {"CMD [\"/a\"]", "ENV A=b"};
  options.message = "Imported from -";
  sys::Fd fd = file_of(compress(tar, "zstd"));
  Result<Image> image = store_->import_tar(fd.get(), options);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(image->id, sys::sha256(image->config_json));
  EXPECT_EQ(image->manifest, sys::sha256(image->manifest_json));
  EXPECT_EQ(image->tags, std::vector<std::string>{"docker.io/team/app:1"});
  EXPECT_EQ(image->size, 8u);
  Result<oci::ImageConfig> config = oci::parse_image_config(image->config_json);
  ASSERT_TRUE(config);
  EXPECT_EQ(config->diff_ids, std::vector<Digest>{sys::sha256(tar)});
  EXPECT_EQ(config->config.cmd, std::vector<std::string>{"/a"});
  EXPECT_EQ(config->history.front().comment, "Imported from -");
  Result<oci::Manifest> manifest = oci::parse_manifest(image->manifest_json);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->config.digest, image->id);
  EXPECT_EQ(manifest->layers.front().media_type, oci::kMediaTypeLayerZstd);
  struct stat blob = info_of(root_ + "/blobs/sha256/" + manifest->layers.front().digest.hex());
  EXPECT_EQ(manifest->layers.front().size, blob.st_size);
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(ImportTest, RefusesBadChangesBeforeReading) {
  ImportOptions options = named("x");
  options.changes = {"FROM scratch"};
  sys::Fd fd = file_of(TarBuilder().file("a").bytes());
  Result<Image> image = store_->import_tar(fd.get(), options);
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(lseek(fd.get(), 0, SEEK_CUR), 0);
  expect_empty();
}

TEST_F(ImportTest, AbsoluteNamesLandInside) {
  std::string canary = base_ + "/canary";
  std::string tree = tree_of(TarBuilder().file(canary, "inside"));
  EXPECT_EQ(content(tree + canary), "inside");
}

TEST_F(ImportTest, DotDotIsRefusedWithNameAndOffset) {
  expect_refused(TarBuilder().file("ok").file("a/../../canary").bytes(),
                 "entry 'a/../../canary' at offset 1024");
  expect_refused(TarBuilder().file("../canary").bytes(), "'..'");
  expect_refused(TarBuilder().directory("..").bytes(), "'..'");
}

TEST_F(ImportTest, WritingThroughASymlinkStaysInside) {
  std::string tree = tree_of(TarBuilder()
                                 .symlink("out", base_)
                                 .directory(base_)
                                 .file("out/canary", "overwritten?")
                                 .symlink("up", "../../../../../../../..")
                                 .file("up/climbed", "inside"));
  EXPECT_EQ(content(tree + base_ + "/canary"), "overwritten?");
  EXPECT_EQ(content(tree + "/climbed"), "inside");
}

TEST_F(ImportTest, WritingThroughADanglingSymlinkIsRefused) {
  expect_refused(TarBuilder().symlink("out", "/not/there").file("out/x").bytes(), "'out/x'");
}

TEST_F(ImportTest, AFileReplacesASymlinkAndNeverFollowsIt) {
  std::string tree =
      tree_of(TarBuilder().symlink("link", base_ + "/canary").file("link", "a file now"));
  EXPECT_TRUE(S_ISREG(info_of(tree + "/link").st_mode));
}

TEST_F(ImportTest, HardLinksToTheOutsideAreRefused) {
  expect_refused(TarBuilder().hard_link("l", base_ + "/canary").bytes(), "cannot link 'l'");
  expect_refused(TarBuilder().hard_link("l", "../../../canary").bytes(), "'..'");
  expect_refused(TarBuilder().symlink("s", base_).hard_link("l", "s/canary").bytes(),
                 "cannot link 'l'");
}

TEST_F(ImportTest, AFileAndADirectoryReplaceEachOther) {
  std::string tree = tree_of(TarBuilder()
                                 .file("a/b/c")
                                 .file("a", "file over directory")
                                 .file("d")
                                 .directory("d")
                                 .file("d/e"));
  EXPECT_EQ(content(tree + "/a"), "file over directory");
  EXPECT_TRUE(S_ISDIR(info_of(tree + "/d").st_mode));
}

TEST_F(ImportTest, WhiteoutsBecomeOverlays) {
  std::string tree = tree_of(TarBuilder()
                                 .file("etc/.wh.gone", "")
                                 .file("opt/.wh..wh..opq", "")
                                 .file("opt/new")
                                 .file(".wh..wh.plnk/x", ""));
  struct stat gone = info_of(tree + "/etc/gone");
  EXPECT_TRUE(S_ISCHR(gone.st_mode));
  EXPECT_EQ(gone.st_rdev, 0u);
  char value[4] = {};
  EXPECT_EQ(getxattr((tree + "/opt").c_str(), "trusted.overlay.opaque", value, sizeof value), 1);
  EXPECT_EQ(value[0], 'y');
}

TEST_F(ImportTest, WhiteoutsOfNothingOrOfTheParentAreRefused) {
  expect_refused(TarBuilder().file(".wh.").bytes(), "a whiteout must name a file");
  expect_refused(TarBuilder().file("d/.wh...").bytes(), "a whiteout must name a file");
  expect_refused(TarBuilder().file("d/.wh..").bytes(), "a whiteout must name a file");
  expect_refused(TarBuilder().file("../.wh.canary").bytes(), "'..'");
}

TEST_F(ImportTest, ADeviceThatLooksLikeAWhiteoutIsRefused) {
  expect_refused(TarBuilder().add({.name = "w", .type = '3'}).bytes(), "0:0");
}

TEST_F(ImportTest, KeepsCapabilitiesAndDropsOverlaysAttributes) {
  std::string capability(
      "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);
  TarEntry entry{.name = "ping", .data = "x", .mode = 0755};
  entry.pax = {{"SCHILY.xattr.security.capability", capability},
               {"SCHILY.xattr.trusted.overlay.redirect", "/etc"},
               {"SCHILY.xattr.user.overlay.opaque", "y"},
               {"SCHILY.xattr.user.note", "kept"}};
  std::string tree = tree_of(TarBuilder().add(entry));
  char value[64] = {};
  EXPECT_EQ(getxattr((tree + "/ping").c_str(), "security.capability", value, sizeof value), 20);
  EXPECT_EQ(getxattr((tree + "/ping").c_str(), "user.note", value, sizeof value), 4);
  EXPECT_LT(getxattr((tree + "/ping").c_str(), "trusted.overlay.redirect", value, sizeof value), 0);
  EXPECT_LT(getxattr((tree + "/ping").c_str(), "user.overlay.opaque", value, sizeof value), 0);
}

TEST_F(ImportTest, AMalformedCapabilityIsRefused) {
  TarEntry entry{.name = "ping", .data = "x"};
  entry.pax = {{"SCHILY.xattr.security.capability", "junk"}};
  expect_refused(TarBuilder().add(entry).bytes(), "security.capability");
}

TEST_F(ImportTest, LongAndOddNames) {
  expect_refused(TarBuilder().add({.name = "n", .pax = {{"path", std::string(256, 'n')}}}).bytes(),
                 "a name is longer than 255 bytes");
  std::string deep;
  for (int i = 0; i < 2100; ++i) deep += "a/";
  expect_refused(TarBuilder().add({.name = "n", .pax = {{"path", deep + "x"}}}).bytes(),
                 "longer than 4095");
  expect_refused(TarBuilder().file("bad\n\x1b[31m/../x").bytes(), "bad\\x0a\\x1b[31m");
  std::string tree = tree_of(TarBuilder().file("new\nline \xff", "odd"));
  EXPECT_EQ(content(tree + "/new\nline \xff"), "odd");
}

TEST_F(ImportTest, OwnersBeyondThirtyTwoBitsAreRefused) {
  expect_refused(TarBuilder().add({.name = "f", .pax = {{"uid", "4294967296"}}}).bytes(), "owner");
  expect_refused(TarBuilder().add({.name = "f", .pax = {{"gid", "4294967295"}}}).bytes(), "owner");
}

TEST_F(ImportTest, LyingSizesAreRefused) {
  EXPECT_FALSE(import(TarBuilder().add({.name = "f", .pax = {{"size", "-1"}}}).bytes()));
  EXPECT_FALSE(
      import(TarBuilder().add({.name = "f", .pax = {{"size", "1152921504606846976"}}}).bytes()));
  EXPECT_FALSE(import(TarBuilder()
                          .add({.name = "f",
                                .pax = {{"GNU.sparse.major", "1"},
                                        {"GNU.sparse.minor", "0"},
                                        {"GNU.sparse.realsize", "4611686018427387904"}}})
                          .bytes()));
  expect_empty();
}

TEST_F(ImportTest, BadInputIsRefusedAndLeavesNothing) {
  std::string tar = TarBuilder().file("a", std::string(3000, 'q')).file("b").bytes();
  expect_refused("", "not a tar archive");
  expect_refused("garbage", "not a tar archive");
  expect_refused(compress("garbage", "xz"), "not a tar archive");
  for (size_t size : {512, 1024, 3500, 4096}) EXPECT_FALSE(import(tar.substr(0, size))) << size;
  expect_empty();
}

TEST_F(ImportTest, ADirectoryInPlaceOfATarIsAnError) {
  Result<sys::Fd> fd = sys::open_file(base_, O_RDONLY | O_DIRECTORY);
  ASSERT_TRUE(fd);
  EXPECT_FALSE(store_->import_tar(fd->get(), named("x")));
  expect_empty();
}

// 300 MiB of zeros behind the end mark in a few hundred kilobytes.
TEST_F(ImportTest, ABombOfZerosBehindTheEndIsBounded) {
  std::string bomb = TarBuilder().file("a").bytes();
  bomb.append(300u << 20, '\0');
  expect_refused(compress(bomb, "gzip"), "behind the archive's end");
}

TEST_F(ImportTest, NamesNestedLikeASymlinkLoopAreRefused) {
  expect_refused(TarBuilder().symlink("a", "b").symlink("b", "a").file("a/x").bytes(), "'a/x'");
}

}  // namespace
}  // namespace wherry::store
