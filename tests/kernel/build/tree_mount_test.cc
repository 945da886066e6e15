// Stages' roots on an image of metadata: what a step changes is in its draft, what is read stays.
#include "build/tree_mount.h"

#include "kernel/store/rich_tree.h"
#include "kernel/store/store_fixture.h"

namespace wherry::build {
namespace {

using testing::Tree;

class TreeMount : public store::StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    Tree tree;
    tree.directory("", {.mode = 0711, .uid = 21, .gid = 22});
    tree.directory("etc");
    tree.file("etc/release", "of the image", {.uid = 7});
    std::filesystem::create_directories(base_ + "/objects");
    tree.write_objects(base_ + "/objects");
    Result<void> written = tree.write_image(base_ + "/image");
    ASSERT_TRUE(written) << written.error().message();
    below_.metadata = base_ + "/image";
    below_.objects = base_ + "/objects";
  }
  static std::string read_at(int root, const std::string& path) {
    const sys::Fd file(openat(root, path.c_str(), O_RDONLY | O_CLOEXEC));
    return sys::read_all(file.get(), 1000).value_or("unreadable");
  }

  store::MountPlan below_;
};

TEST_F(TreeMount, AWritableOneKeepsTheChangesInItsDraft) {
  Result<store::LayerDraft> draft = store_->new_layer();
  ASSERT_TRUE(draft);
  Result<sys::Fd> root = mount_writable(below_, *draft);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(read_at(root->get(), "etc/release"), "of the image");
  struct stat info{};
  ASSERT_EQ(fstat(root->get(), &info), 0);
  EXPECT_EQ(info.st_mode & 07777, 0711u);
  EXPECT_EQ(info.st_uid, 21u);
  EXPECT_EQ(info.st_gid, 22u);
  ASSERT_EQ(fchmodat(root->get(), "etc/release", 0600, 0), 0);
  EXPECT_EQ(content(draft->tree_path() + "/etc/release"), "of the image");
  EXPECT_EQ(info_of(draft->tree_path() + "/etc/release").st_uid, 7u);
}

TEST_F(TreeMount, AReadableOneLosesWhatIsWrittenToIt) {
  for (int round = 0; round < 2; ++round) {
    Result<ReadableRoot> root = mount_readable(below_, *store_);
    ASSERT_TRUE(root) << root.error().message();
    EXPECT_EQ(read_at(root->root.get(), "etc/release"), "of the image");
    EXPECT_NE(faccessat(root->root.get(), "etc/new", F_OK, 0), 0);
    const sys::Fd made(openat(root->root.get(), "etc/new", O_WRONLY | O_CREAT | O_CLOEXEC, 0600));
    EXPECT_GE(made.get(), 0);
  }
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(TreeMount, LayersOfTheBuildLieAboveTheImage) {
  Result<store::LayerDraft> first = store_->new_layer(), second = store_->new_layer();
  ASSERT_TRUE(first && second);
  std::filesystem::create_directories(first->tree_path() + "/etc");
  std::ofstream(first->tree_path() + "/etc/release") << "of a step";
  below_.lower.push_back(first->tree_path());
  Result<sys::Fd> root = mount_writable(below_, *second);
  ASSERT_TRUE(root) << root.error().message();
  EXPECT_EQ(read_at(root->get(), "etc/release"), "of a step");
}

}  // namespace
}  // namespace wherry::build
