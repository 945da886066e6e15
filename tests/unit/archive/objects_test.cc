// Layers as objects, records and recipes: what entries mean, and that the tar comes back.
#include "archive/objects.h"

#include "unit/archive/layer_fixture.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::TarBuilder;
using Objects = LayerFixture;

TEST_F(Objects, EveryKindOfEntryIsInTheRecord) {
  Layer layer = taken(TarBuilder()
                          .add({.name = "./", .type = '5', .mode = 0711})
                          .directory("d/")
                          .add({.name = "d/f", .data = "abc", .mode = 04755, .uid = 7, .gid = 8})
                          .symlink("d/l", "/etc/x")
                          .add({.name = "d/c", .type = '3', .mode = 0600, .major = 5, .minor = 1})
                          .add({.name = "d/b", .type = '4', .major = 8, .minor = 1})
                          .add({.name = "d/p", .type = '6'})
                          .hard_link("d/g", "d/f")
                          .file("empty", "")
                          .bytes());
  EXPECT_EQ(layer.lines[""], "d 0711 0:0 1000000000.000000000");
  EXPECT_EQ(layer.lines["d"], "d 0755 0:0 1000000000.000000000");
  EXPECT_EQ(layer.lines["d/f"], "f 4755 7:8 1000000000.000000000 inode=1 3 'abc'");
  EXPECT_EQ(layer.lines["d/g"], layer.lines["d/f"]);
  EXPECT_EQ(layer.lines["d/l"], "l 0777 0:0 1000000000.000000000 -> /etc/x");
  EXPECT_EQ(layer.lines["d/c"], "c 0600 0:0 1000000000.000000000 5:1");
  EXPECT_EQ(layer.lines["d/b"], "b 0644 0:0 1000000000.000000000 8:1");
  EXPECT_EQ(layer.lines["d/p"], "p 0644 0:0 1000000000.000000000");
  EXPECT_EQ(layer.lines["empty"], "f 0644 0:0 1000000000.000000000 0 ''");
  EXPECT_EQ(layer.lines.size(), 9u);
  EXPECT_EQ(layer.unpacked.layer.files_size, 3u);
  EXPECT_EQ(layer.unpacked.new_objects, 1u);
}

TEST_F(Objects, ARootWithoutAnEntryIsNotInTheRecord) {
  EXPECT_EQ(taken(TarBuilder().file("a").bytes()).paths(), "a");
}

TEST_F(Objects, ParentsThatAreLeftOutAreMade) {
  Layer layer = taken(TarBuilder().file("a/b/c").bytes());
  EXPECT_EQ(layer.paths(), "a a/b a/b/c");
  EXPECT_EQ(layer.lines["a/b"], "d 0755 0:0 0.000000000");
}

TEST_F(Objects, WhatTheStoreHasIsNotMadeAgain) {
  std::string large(3'000'000, 'q');
  std::string tar = TarBuilder().file("a", "one").file("b", large).bytes();
  EXPECT_EQ(taken(tar).unpacked.new_objects, 2u);
  EXPECT_EQ(taken(tar).unpacked.new_objects, 0u);
  Layer other = taken(
      TarBuilder().file("x", large).file("y", "two").file("z", "two").file("w", large).bytes());
  EXPECT_EQ(other.unpacked.new_objects, 1u);
  EXPECT_EQ(other.unpacked.new_bytes, 3u);
}

TEST_F(Objects, AnObjectThatHasLostItsEndIsMadeAgain) {
  std::string tar = TarBuilder().file("a", "content").bytes();
  Layer layer = taken(tar);
  std::string path = object_path(sys::sha256("content").hex());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  std::filesystem::resize_file(path, 3);
  Result<Layer> again = this->layer(tar);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(again->unpacked.new_objects, 1u);
  EXPECT_EQ(read(path), "content");
}

TEST_F(Objects, AnObjectWithOtherBytesIsMadeAgain) {
  for (size_t size : {7u, 3'000'000u}) {
    const std::string content(size, 'c');
    std::string tar = TarBuilder().file("a", content).bytes();
    Layer layer = taken(tar);
    std::string path = object_path(sys::sha256(content).hex());
    std::string flipped = content;
    flipped.back() ^= 1;
    std::filesystem::permissions(path, std::filesystem::perms::owner_all);
    std::ofstream(path) << flipped;
    seal(path);
    Layer again = taken(tar);
    EXPECT_EQ(again.unpacked.new_objects, 1u);
    EXPECT_EQ(read(path), content);
  }
}

TEST_F(Objects, AnObjectWithAnotherModeOrTimeIsMadeAgain) {
  std::string tar = TarBuilder().file("a", "content").bytes();
  Layer layer = taken(tar);
  std::string path = object_path(sys::sha256("content").hex());
  std::filesystem::permissions(path, std::filesystem::perms::owner_all);
  EXPECT_EQ(taken(tar).unpacked.new_objects, 1u);
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), nullptr, 0), 0);
  EXPECT_EQ(taken(tar).unpacked.new_objects, 1u);
  EXPECT_EQ(taken(tar).unpacked.new_objects, 0u);
}

TEST_F(Objects, TheLastOfSeveralEntriesOfAPathCounts) {
  Layer layer = taken(TarBuilder().file("a", "one").file("./a", "two").file("b", "x").bytes());
  EXPECT_EQ(layer.lines["a"], "f 0644 0:0 1000000000.000000000 3 'two'");
  EXPECT_EQ(layer.unpacked.layer.replaced, 1u);
}

TEST_F(Objects, AContentThatNoNameHasIsInTheRecipeAndNoObject) {
  std::string gone(2'000'000, 'g');
  Layer layer = taken(TarBuilder()
                          .file("a", "lost")
                          .file("big", gone)
                          .file("b", "kept")
                          .file("a", "new")
                          .file("c", "kept")
                          .file("c", "new")
                          .file("big", "small")
                          .bytes());
  EXPECT_EQ(layer.unpacked.new_objects, 3u);
  EXPECT_FALSE(std::filesystem::exists(object_path(sys::sha256("lost").hex())));
  EXPECT_FALSE(std::filesystem::exists(object_path(sys::sha256(gone).hex())));
  EXPECT_TRUE(std::filesystem::exists(object_path(sys::sha256("kept").hex())));
}

TEST_F(Objects, AContentThatOnlyTheStoreHasAndNoNameIsInTheRecipeToo) {
  taken(TarBuilder().file("x", "lost").bytes());
  Layer layer = taken(TarBuilder().file("a", "lost").file("a", "new").bytes());
  std::filesystem::remove(object_path(sys::sha256("lost").hex()));
  EXPECT_TRUE(made_again(layer));
}

TEST_F(Objects, AFileOverADirectoryRemovesWhatIsBelow) {
  Layer layer =
      taken(TarBuilder().directory("d").file("d/a", "1").file("d/e/b", "2").file("d", "3").bytes());
  EXPECT_EQ(layer.paths(), "d");
  EXPECT_EQ(layer.type("d"), 'f');
  EXPECT_EQ(layer.unpacked.new_objects, 1u);
}

TEST_F(Objects, ADirectoryOverAFileReplacesAndOverADirectoryMerges) {
  Layer layer = taken(TarBuilder()
                          .file("f", "1")
                          .directory("f")
                          .directory("d")
                          .file("d/a", "2")
                          .add({.name = "d", .type = '5', .mode = 0700, .uid = 3})
                          .bytes());
  EXPECT_EQ(layer.paths(), "d d/a f");
  EXPECT_EQ(layer.type("f"), 'd');
  EXPECT_EQ(layer.lines["d"], "d 0700 3:0 1000000000.000000000");
}

TEST_F(Objects, AHardLinkKeepsItsContentWhenTheFirstNameIsReplaced) {
  Layer layer = taken(TarBuilder().file("a", "old").hard_link("b", "a").file("a", "new").bytes());
  EXPECT_EQ(layer.lines["a"], "f 0644 0:0 1000000000.000000000 3 'new'");
  EXPECT_EQ(layer.lines["b"], "f 0644 0:0 1000000000.000000000 3 'old'");
}

TEST_F(Objects, EntriesBelowASymlinkLandWhereItPoints) {
  Layer layer = taken(TarBuilder()
                          .directory("usr/bin")
                          .symlink("bin", "usr/bin")
                          .file("bin/sh", "x")
                          .symlink("abs", "/usr")
                          .file("abs/f")
                          .symlink("usr/up", "../../../../usr/bin/..")
                          .file("usr/up/g")
                          .hard_link("h", "bin/sh")
                          .bytes());
  EXPECT_EQ(layer.paths(), "abs bin h usr usr/bin usr/bin/sh usr/f usr/g usr/up");
  EXPECT_EQ(layer.type("bin"), 'l');
}

TEST_F(Objects, MissingDirectoriesBelowASymlinkAreMadeWhereItPoints) {
  Layer layer = taken(TarBuilder().directory("t").symlink("l", "t").file("l/x/y").bytes());
  EXPECT_EQ(layer.paths(), "l t t/x t/x/y");
}

TEST_F(Objects, WhiteoutsAndOpaqueDirectories) {
  Layer layer = taken(TarBuilder()
                          .file(".wh.gone", "")
                          .file("d/.wh..wh..opq", "")
                          .file("d/.wh.e", "with data")
                          .file(".wh..wh.plnk/123", "AUFS's")
                          .file(".wh..wh.aufs", "")
                          .bytes());
  EXPECT_EQ(layer.paths(), "d d/e gone");
  EXPECT_EQ(layer.type("gone"), 'w');
  EXPECT_EQ(layer.type("d/e"), 'w');
  EXPECT_EQ(layer.lines["d"], "d 0755 0:0 0.000000000 opaque");
  EXPECT_EQ(layer.unpacked.new_objects, 0u);
}

TEST_F(Objects, AnOpaqueRootIsInTheRecord) {
  Layer layer = taken(TarBuilder().file(".wh..wh..opq", "").bytes());
  EXPECT_EQ(layer.lines[""], "d 0755 0:0 0.000000000 opaque");
}

TEST_F(Objects, AWhiteoutNeverHidesWhatItsOwnLayerBrings) {
  for (bool first : {false, true}) {
    TarBuilder tar;
    if (first) tar.file(".wh.f", "").file(".wh.d", "");
    tar.file("f", "x").directory("d").file("d/a", "x");
    if (!first) tar.file(".wh.f", "").file(".wh.d", "");
    Layer layer = taken(tar.bytes());
    EXPECT_EQ(layer.paths(), "d d/a f") << first;
    EXPECT_EQ(layer.type("f"), 'f') << first;
    EXPECT_EQ(layer.lines["d"], "d 0755 0:0 1000000000.000000000 opaque") << first;
  }
}

TEST_F(Objects, SparseFilesOfTheOldKindAreExpanded) {
  std::string data = std::string(512, 'a') + std::string(512, 'b');
  Layer layer = taken(TarBuilder()
                          .add({.name = "s",
                                .data = data,
                                .pax = {{"GNU.sparse.major", "0"},
                                        {"GNU.sparse.minor", "1"},
                                        {"GNU.sparse.name", "s"},
                                        {"GNU.sparse.size", "3000000"},
                                        {"GNU.sparse.numblocks", "2"},
                                        {"GNU.sparse.map", "512,512,2000000,512"}}})
                          .bytes());
  std::string whole(3'000'000, '\0');
  whole.replace(512, 512, std::string(512, 'a'));
  whole.replace(2'000'000, 512, std::string(512, 'b'));
  EXPECT_EQ(layer.lines["s"],
            "f 0644 0:0 1000000000.000000000 3000000 " + sys::sha256(whole).hex().substr(0, 8));
  struct stat info{};
  ASSERT_EQ(stat(object_path(sys::sha256(whole).hex()).c_str(), &info), 0);
  EXPECT_LT(info.st_blocks * 512, 1'000'000) << "the holes are gone";
}

TEST_F(Objects, TheLimitOfEntriesIsASettingAndNamed) {
  TarBuilder tar;
  for (int i = 0; i < 10; ++i) tar.file("f" + std::to_string(i));
  EXPECT_TRUE(layer(tar.bytes(), {.max_entries = 10}));
  Result<Layer> refused = layer(tar.file("more").bytes(), {.max_entries = 10});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().kind(), ErrorKind::kResourceExhausted);
  EXPECT_NE(refused.error().message().find("max-layer-entries"), std::string::npos);
  Result<Layer> deep =
      layer(TarBuilder().file("1/2/3/4/5/6/7/8/9/10/11").bytes(), {.max_entries = 10});
  ASSERT_FALSE(deep);
  EXPECT_NE(deep.error().message().find("max-layer-entries"), std::string::npos);
}

TEST_F(Objects, ADamagedRecipeOrObjectIsAnErrorThatSaysWhich) {
  Layer layer = taken(TarBuilder().file("a", "content").file("b", std::string(9000, 'b')).bytes());
  for (size_t at = 0; at < layer.recipe.size(); ++at) {
    Layer flipped = layer;
    flipped.recipe[at] ^= 0x55;
    EXPECT_FALSE(made_again(flipped)) << at;
    flipped.recipe = layer.recipe.substr(0, at);
    EXPECT_FALSE(made_again(flipped)) << at;
  }
  std::string hex = sys::sha256("content").hex(), path = object_path(hex);
  std::filesystem::remove(path);
  Result<Rebuilt> missing = made_again(layer);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_NE(missing.error().message().find(hex), std::string::npos);
  std::ofstream(path) << "contenT";
  Result<Rebuilt> wrong = made_again(layer);
  ASSERT_FALSE(wrong);
  EXPECT_EQ(wrong.error().kind(), ErrorKind::kCorrupt);
  std::ofstream(path) << "cont";
  Result<Rebuilt> cut = made_again(layer);
  ASSERT_FALSE(cut);
  EXPECT_NE(cut.error().message().find("cut short"), std::string::npos);
}

}  // namespace
}  // namespace wherry::archive
