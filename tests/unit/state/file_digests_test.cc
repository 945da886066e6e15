#include "state/file_digests.h"
#include "scratch_directory.h"

#include <gtest/gtest.h>

#include <filesystem>

namespace wherry::state {
namespace {

class FileDigests : public ::testing::Test {
 protected:
  void SetUp() override {
    Result<Database> database = Database::open(root_);
    ASSERT_TRUE(database) << database.error().message();
    database_ = std::make_unique<Database>(std::move(*database));
  }
  std::vector<std::string> found(std::vector<FileDigest> files) {
    Result<void> done = find_file_digests(*database_, files);
    EXPECT_TRUE(done);
    std::vector<std::string> digests;
    for (const FileDigest& file : files) digests.push_back(file.digest);
    return digests;
  }

  const ScratchDirectory scratch_;
  const std::string& root_ = scratch_.path();
  std::unique_ptr<Database> database_;
};

using Texts = std::vector<std::string>;

TEST_F(FileDigests, AreFoundByEveryPartOfAFilesState) {
  ASSERT_TRUE(put_file_digests(*database_, std::vector<FileDigest>{{1, 2, 3, 4, 5, "x"}}));
  EXPECT_EQ(found({{1, 2, 3, 4, 5, ""}}), (Texts{"x"}));
  EXPECT_EQ(found({{2, 2, 3, 4, 5, ""}}), (Texts{""}));
  EXPECT_EQ(found({{1, 1, 3, 4, 5, ""}, {1, 3, 3, 4, 5, ""}}), (Texts{"", ""}));
  EXPECT_EQ(found({{1, 2, 9, 4, 5, ""}}), (Texts{""}));
  EXPECT_EQ(found({{1, 2, 3, 9, 5, ""}}), (Texts{""}));
  EXPECT_EQ(found({{1, 2, 3, 4, 9, ""}}), (Texts{""}));
}

TEST_F(FileDigests, AreReplacedWhenTheInodeIsUsedAgain) {
  ASSERT_TRUE(put_file_digests(*database_, std::vector<FileDigest>{{1, 2, 3, 4, 5, "x"}}));
  ASSERT_TRUE(put_file_digests(*database_, std::vector<FileDigest>{{1, 2, 3, 4, 6, "y"}}));
  EXPECT_EQ(found({{1, 2, 3, 4, 5, ""}}), (Texts{""}));
  EXPECT_EQ(found({{1, 2, 3, 4, 6, ""}}), (Texts{"y"}));
}

TEST_F(FileDigests, AreFoundAcrossGapsDevicesAndLinks) {
  std::vector<FileDigest> rows;
  for (uint64_t i = 0; i < 500; ++i) rows.push_back({7, i * 3, i, 0, 0, std::to_string(i)});
  rows.push_back({8, UINT64_MAX, 1, -1, -1, "last"});
  ASSERT_TRUE(put_file_digests(*database_, rows));
  std::vector<FileDigest> wanted = {{7, 0, 0, 0, 0, ""},     {7, 3, 1, 0, 0, ""},
                                    {7, 4, 1, 0, 0, ""},     {7, 900, 300, 0, 0, ""},
                                    {7, 900, 300, 0, 0, ""}, {7, 9000, 0, 0, 0, ""},
                                    {7, 9001, 0, 0, 0, ""},  {8, UINT64_MAX, 1, -1, -1, ""}};
  EXPECT_EQ(found(wanted), (Texts{"0", "1", "", "300", "300", "", "", "last"}));
  EXPECT_EQ(*clear_file_digests(*database_), 501);
  EXPECT_EQ(found({{7, 3, 1, 0, 0, ""}}), (Texts{""}));
}

std::vector<FileDigest> batch(uint64_t device, uint64_t count) {
  std::vector<FileDigest> files;
  for (uint64_t i = 0; i < count; ++i) files.push_back({device, i, 0, 0, 0, "x"});
  return files;
}

TEST_F(FileDigests, AreForgottenBeforeMoreThanTheLimitWerePut) {
  ASSERT_TRUE(put_file_digests(*database_, batch(1, 6), 10));
  ASSERT_TRUE(put_file_digests(*database_, batch(2, 4), 10));
  EXPECT_EQ(found({{1, 0, 0, 0, 0, ""}, {2, 0, 0, 0, 0, ""}}), (Texts{"x", "x"}));
  ASSERT_TRUE(put_file_digests(*database_, batch(3, 1), 10));
  EXPECT_EQ(found({{1, 0, 0, 0, 0, ""}, {2, 0, 0, 0, 0, ""}, {3, 0, 0, 0, 0, ""}}),
            (Texts{"", "", "x"}));
  EXPECT_EQ(*clear_file_digests(*database_), 1);
}

TEST_F(FileDigests, OfMoreFilesThanTheLimitStayUntilOthersFillIt) {
  ASSERT_TRUE(put_file_digests(*database_, batch(1, 20), 10));
  for (uint64_t device = 2; device < 12; ++device)
    ASSERT_TRUE(put_file_digests(*database_, batch(device, 1), 10));
  EXPECT_EQ(found({{1, 19, 0, 0, 0, ""}, {11, 0, 0, 0, 0, ""}}), (Texts{"x", "x"}));
  ASSERT_TRUE(put_file_digests(*database_, batch(12, 1), 10));
  EXPECT_EQ(*clear_file_digests(*database_), 1);
}

}  // namespace
}  // namespace wherry::state
