// What images cost, alone and together; and indexes that lie.
#include <algorithm>
#include <array>

#include "kernel/store/store_fixture.h"
#include "store/object_index.h"

namespace wherry::store {
namespace {

using testing::TarBuilder;

class UsageTest : public StoreFixture {
 protected:
  // Of the image that has this name.
  ImageUsage usage_of(const std::string& name) {
    Result<std::vector<ImageUsage>> usages = store_->usage();
    EXPECT_TRUE(usages) << usages.error().message();
    for (const ImageUsage& usage : *usages)
      if (usage.names == std::vector{"docker.io/library/" + name}) return usage;
    ADD_FAILURE() << "no usage of " << name;
    return {};
  }
  static std::string shared(const ImageUsage& usage) {
    std::string text;
    for (const ImageUsage::Shared& one : usage.shared)
      text += one.with + "=" + std::to_string(one.bytes) + " ";
    return text;
  }
  Digest imported(const TarBuilder& tar, const std::string& name) {
    Result<Image> image = import(tar.bytes(), name);
    EXPECT_TRUE(image) << image.error().message();
    return *Digest::parse("sha256:" + names_in("layers").substr(0, 64));
  }
  sys::Fd folder_of(const Digest& layer) {
    return std::move(*sys::open_file(root_ + "/layers/" + layer.hex(), O_RDONLY | O_DIRECTORY));
  }
  std::vector<ObjectRef> index_of(const Digest& layer) {
    Result<ObjectIndex> index = ObjectIndex::open(folder_of(layer).get());
    EXPECT_TRUE(index) << index.error().message();
    return {index->refs().begin(), index->refs().end()};
  }
  // The index says `refs`; fsck and whoever brings the layer see that it is not what the record
  // says, and fsck makes it right.
  void expect_seen_and_repaired(const Digest& layer, std::vector<ObjectRef> lies) {
    const std::vector<ObjectRef> right = index_of(layer);
    std::ranges::sort(lies);
    ASSERT_TRUE(rewrite_object_index(folder_of(layer).get(), lies));
    EXPECT_FALSE(*store_->has_layer(layer));
    const Result<void> checked = store_->check_layer(layer);
    ASSERT_FALSE(checked);
    EXPECT_EQ(checked.error().kind(), ErrorKind::kCorrupt);
    Result<FsckReport> report = store_->fsck({.quick = true, .repair = false});
    ASSERT_TRUE(report) << report.error().message();
    ASSERT_EQ(report->problems.size(), 1u);
    EXPECT_NE(report->problems.front().find("its index does not belong to its record"),
              std::string::npos);
    ASSERT_TRUE(store_->fsck({.quick = true, .repair = true}));
    EXPECT_EQ(index_of(layer), right);
    EXPECT_TRUE(store_->fsck({})->problems.empty());
    EXPECT_TRUE(*store_->has_layer(layer));
  }
};

TEST_F(UsageTest, AnImageAloneCostsEachContentOnce) {
  ASSERT_TRUE(import(TarBuilder()
                         .file("a", std::string(100, 'a'))
                         .file("same", std::string(100, 'a'))
                         .hard_link("linked", "a")
                         .file("b", std::string(30, 'b'))
                         .file("empty", "")
                         .symlink("s", "a")
                         .bytes(),
                     "one:1"));
  const ImageUsage usage = usage_of("one:1");
  EXPECT_EQ(usage.size, 130u);
  EXPECT_EQ(usage.alone, 130u);
  EXPECT_EQ(usage.objects, 2u);
  EXPECT_EQ(shared(usage), "");
}

TEST_F(UsageTest, WhatSeveralHaveIsSharedWithEachAndNobodysAlone) {
  const std::string all(1000, 'x'), two(200, 'y');
  ASSERT_TRUE(import(TarBuilder().file("a", all).file("b", two).file("c", "12345").bytes(), "a:1"));
  ASSERT_TRUE(
      import(TarBuilder().file("p", all).file("q", two).file("r", "1234567").bytes(), "b:1"));
  ASSERT_TRUE(import(TarBuilder().file("deep/down", all).bytes(), "c:1"));
  ASSERT_TRUE(import(TarBuilder().file("f", "nothing in common").bytes(), "d:1"));
  const ImageUsage a = usage_of("a:1"), b = usage_of("b:1"), c = usage_of("c:1"),
                   d = usage_of("d:1");
  EXPECT_EQ((std::array{a.size, a.alone}), (std::array<uint64_t, 2>{1205, 5}));
  EXPECT_EQ((std::array{b.size, b.alone}), (std::array<uint64_t, 2>{1207, 7}));
  EXPECT_EQ((std::array{c.size, c.alone}), (std::array<uint64_t, 2>{1000, 0}));
  EXPECT_EQ((std::array{d.size, d.alone}), (std::array<uint64_t, 2>{17, 17}));
  EXPECT_EQ(shared(a), "b:1=1200 c:1=1000 ");
  EXPECT_EQ(shared(b), "a:1=1200 c:1=1000 ");
  EXPECT_EQ(shared(d), "");
}

TEST_F(UsageTest, WhenTheOtherGoesWhatWasSharedIsAlone) {
  ASSERT_TRUE(import(TarBuilder().file("a", std::string(500, 'x')).bytes(), "a:1"));
  ASSERT_TRUE(import(TarBuilder().file("b", std::string(500, 'x')).bytes(), "b:1"));
  EXPECT_EQ(usage_of("a:1").alone, 0u);
  ASSERT_TRUE(store_->remove("b:1", false, {}));
  EXPECT_EQ(usage_of("a:1").alone, 500u);
  EXPECT_TRUE(usage_of("a:1").shared.empty());
}

TEST_F(UsageTest, AnEmptyStoreHasNoUsage) {
  EXPECT_TRUE(store_->usage()->empty());
}

TEST_F(UsageTest, AnIndexThatNamesWhatIsNotThereIsSeenAndRepaired) {
  const Digest layer = imported(TarBuilder().file("a", "content").file("b", "more"), "a:1");
  std::vector<ObjectRef> lies = index_of(layer);
  ObjectRef absent = lies.front();
  absent.id[31] ^= 1;
  lies.push_back(absent);
  expect_seen_and_repaired(layer, lies);
}

TEST_F(UsageTest, AnIndexWithAWrongSizeIsSeenAndRepaired) {
  const Digest layer = imported(TarBuilder().file("a", "content").file("b", "more"), "a:1");
  std::vector<ObjectRef> lies = index_of(layer);
  ++lies.front().size;
  expect_seen_and_repaired(layer, lies);
}

TEST_F(UsageTest, AnIndexThatLacksAnObjectIsSeenAndRepaired) {
  const Digest layer = imported(TarBuilder().file("a", "content").file("b", "more"), "a:1");
  std::vector<ObjectRef> lies = index_of(layer);
  lies.pop_back();
  expect_seen_and_repaired(layer, lies);
}

TEST_F(UsageTest, WithAnIndexThatIsNoneNothingIsCollected) {
  const Digest layer = imported(TarBuilder().file("a", "content"), "a:1");
  const std::string index = root_ + "/layers/" + layer.hex() + "/index";
  std::filesystem::resize_file(index, 39);
  for (bool dry_run : {true, false}) {
    CollectOptions options;
    options.dry_run = dry_run;
    Result<Collected> collected = store_->collect(options);
    ASSERT_FALSE(collected);
    EXPECT_EQ(collected.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(collected.error().message().find(layer.str()), std::string::npos);
  }
  EXPECT_EQ(objects(), 1u);
  Result<std::vector<ImageUsage>> usages = store_->usage();
  ASSERT_FALSE(usages);
  EXPECT_NE(usages.error().message().find("a:1"), std::string::npos);
  ASSERT_TRUE(store_->fsck({.quick = true, .repair = true}));
  EXPECT_EQ(usage_of("a:1").size, 7u);
}

TEST_F(UsageTest, AnObjectThatAnIndexNamesInVainCostsNobodyAnything) {
  const Digest layer = imported(TarBuilder().file("a", "content"), "a:1");
  std::vector<ObjectRef> lies = index_of(layer);
  ObjectRef absent = lies.front();
  absent.id[0] ^= 1;
  lies.push_back(absent);
  std::ranges::sort(lies);
  ASSERT_TRUE(rewrite_object_index(folder_of(layer).get(), lies));
  Result<Collected> collected = store_->collect({});
  ASSERT_TRUE(collected) << collected.error().message();
  EXPECT_EQ(collected->objects, 0u);
  EXPECT_EQ(objects(), 1u);
}

}  // namespace
}  // namespace wherry::store
