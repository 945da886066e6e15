// An archive's tree without its large files, through the confined helper.
#include <sys/stat.h>

#include "kernel/archive/tree_fixture.h"
#include "sys/file.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::compress;
using testing::TarBuilder;

class OutlineTest : public TreeFixture {
 protected:
  Result<Outline> outline(const std::string& bytes, size_t start = 0) {
    tree_ = make_tree("tree" + std::to_string(++files_));
    sys::Fd tar = new_file("archive" + std::to_string(files_));
    EXPECT_TRUE(sys::write_all(tar.get(), bytes));
    EXPECT_EQ(lseek(tar.get(), static_cast<off_t>(start), SEEK_SET), static_cast<off_t>(start));
    return run_outline({.tar = tar.get(), .directory = open(tree_).get()});
  }
  struct stat info_of(const std::string& name) {
    struct stat info{};
    EXPECT_EQ(stat((tree_ + "/" + name).c_str(), &info), 0);
    return info;
  }
  std::string tree_;
  int files_ = 0;
};

TEST_F(OutlineTest, LargeFilesStayInTheArchiveAndSmallOnesAreUnpacked) {
  const std::string large(kMinLeft, 'q'), almost(kMinLeft - 1, 'r');
  std::string tar =
      TarBuilder().file("a", "small").file("d/large", large).file("almost", almost).bytes();
  // It may stand behind something else.
  for (size_t start : {0u, 700u}) {
    Result<Outline> made = outline(std::string(start, '-') + tar, start);
    ASSERT_TRUE(made) << made.error().message();
    ASSERT_EQ(made->left.size(), 1u);
    const LeftFile& left = made->left.front();
    EXPECT_EQ(left.inode, info_of("d/large").st_ino);
    EXPECT_EQ(left.part.size, large.size());
    EXPECT_EQ(left.part.offset, start + tar.find(large));
    EXPECT_EQ(info_of("d/large").st_size, static_cast<off_t>(large.size()));
    EXPECT_EQ(info_of("d/large").st_blocks, 0);
    EXPECT_EQ(*sys::read_file(tree_ + "/a", 10), "small");
    EXPECT_EQ(*sys::read_file(tree_ + "/almost", kMinLeft), almost);
  }
}

TEST_F(OutlineTest, OfACompressedArchiveEverythingIsUnpacked) {
  const std::string large(kMinLeft + 1, 'q');
  std::string tar = compress(TarBuilder().file("large", large).bytes(), "gzip");
  Result<Outline> made = outline(tar);
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_TRUE(made->left.empty());
  EXPECT_EQ(*sys::read_file(tree_ + "/large", large.size()), large);
}

TEST_F(OutlineTest, AnArchiveThatEndsInALargeFileIsTruncated) {
  std::string tar = TarBuilder().file("large", std::string(kMinLeft, 'q')).bytes();
  for (size_t size : {tar.size() / 2, kMinLeft + 512}) {
    Result<Outline> made = outline(tar.substr(0, size));
    ASSERT_FALSE(made);
    EXPECT_EQ(made.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(made.error().message().find("truncated archive"), std::string::npos);
  }
}

TEST_F(OutlineTest, EntriesThatReplaceEarlierOnesAreCounted) {
  const std::string large(kMinLeft, 'q');
  Result<Outline> made = outline(TarBuilder().file("a", large).file("a", "other").bytes());
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(made->replaced, 1u);
  EXPECT_EQ(*sys::read_file(tree_ + "/a", 10), "other");
}

TEST_F(OutlineTest, AHardLinkIsTheSameFileAndASymlinkLeadsToIt) {
  std::string tar = TarBuilder()
                        .file("large", std::string(kMinLeft, 'q'))
                        .hard_link("linked", "large")
                        .symlink("named", "large")
                        .bytes();
  Result<Outline> made = outline(tar);
  ASSERT_TRUE(made) << made.error().message();
  ASSERT_EQ(made->left.size(), 1u);
  EXPECT_EQ(made->left.front().inode, info_of("linked").st_ino);
  EXPECT_EQ(made->left.front().inode, info_of("named").st_ino);
}

}  // namespace
}  // namespace wherry::archive
