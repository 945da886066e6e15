// What a layer's index says of its objects, and what is no index.
#include "store/object_index.h"

#include <gtest/gtest.h>

#include <algorithm>
#include <cerrno>
#include <filesystem>
#include <fstream>

#include "scratch_directory.h"
#include "sys/fd.h"

namespace wherry::store {
namespace {

ObjectRef ref(uint8_t first, uint64_t size) {
  ObjectRef made{{}, size};
  made.id[0] = first;
  return made;
}

class ObjectIndexTest : public ::testing::Test {
 protected:
  void SetUp() override { folder_ = std::move(*sys::open_file(base_, O_RDONLY | O_DIRECTORY)); }
  void put(const std::string& bytes) { std::ofstream(base_ + "/index", std::ios::binary) << bytes; }
  std::string bytes() const {
    std::ifstream file(base_ + "/index", std::ios::binary);
    return {std::istreambuf_iterator<char>(file), {}};
  }
  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();
  sys::Fd folder_;
};

TEST_F(ObjectIndexTest, GivesBackWhatWasWritten) {
  const std::vector<ObjectRef> refs{ref(1, 10), ref(2, 5), ref(200, 1)};
  ASSERT_TRUE(write_object_index(folder_.get(), refs));
  Result<ObjectIndex> index = ObjectIndex::open(folder_.get());
  ASSERT_TRUE(index) << index.error().message();
  EXPECT_TRUE(std::ranges::equal(index->refs(), refs));
  EXPECT_EQ(bytes().size(), 120u);
}

TEST_F(ObjectIndexTest, OfALayerWithoutContentsIsEmpty) {
  ASSERT_TRUE(write_object_index(folder_.get(), {}));
  Result<ObjectIndex> index = ObjectIndex::open(folder_.get());
  ASSERT_TRUE(index) << index.error().message();
  EXPECT_TRUE(index->refs().empty());
}

TEST_F(ObjectIndexTest, OneThatWasMadeAgainKnowsNothingOfItsObjects) {
  ASSERT_TRUE(write_object_index(folder_.get(), {ref(1, 10)}));
  ASSERT_TRUE(rewrite_object_index(folder_.get(), {ref(2, 5)}));
  Result<ObjectIndex> index = ObjectIndex::open(folder_.get());
  ASSERT_TRUE(index) << index.error().message();
  EXPECT_TRUE(std::ranges::equal(index->refs(), std::vector{ref(2, 5)}));
  EXPECT_EQ(index->known_until().tv_sec, 0);
  EXPECT_EQ(index->known_until().tv_nsec, 0);
}

TEST_F(ObjectIndexTest, WhatIsCutShortOrOutOfOrderIsNoIndex) {
  ASSERT_TRUE(write_object_index(folder_.get(), {ref(1, 10), ref(2, 5)}));
  const std::string whole = bytes();
  for (const std::string& damaged :
       {whole.substr(0, 79), whole.substr(0, 1), whole + "x", whole.substr(40) + whole}) {
    put(damaged);
    Result<ObjectIndex> index = ObjectIndex::open(folder_.get());
    ASSERT_FALSE(index) << damaged.size();
    EXPECT_EQ(index.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST_F(ObjectIndexTest, AMissingOneAndALinkAreErrors) {
  EXPECT_EQ(ObjectIndex::open(folder_.get()).error().errnum(), ENOENT);
  std::ofstream(base_ + "/other") << "";
  std::filesystem::create_symlink("other", base_ + "/index");
  EXPECT_FALSE(ObjectIndex::open(folder_.get()));
}

TEST(Without, LeavesOutByTheIdWhateverTheSizesSay) {
  const std::vector<ObjectRef> all{ref(1, 10), ref(2, 5), ref(3, 7)};
  EXPECT_EQ(without(all, std::vector{ref(2, 999)}), (std::vector{ref(1, 10), ref(3, 7)}));
  EXPECT_EQ(without(all, {}), all);
  EXPECT_TRUE(without({}, all).empty());
}

}  // namespace
}  // namespace wherry::store
