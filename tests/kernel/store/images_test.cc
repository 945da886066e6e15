// Names, lookups and removal with Docker's words.
#include "kernel/store/store_fixture.h"

namespace wherry::store {
namespace {

using testing::TarBuilder;

class ImagesTest : public StoreFixture {
 protected:
  Image add(const std::string& name, const std::string& data) {
    Result<Image> image = import(TarBuilder().file("f", data).bytes(), name);
    EXPECT_TRUE(image);
    return *image;
  }
  void tag(const Image& image, const std::string& name) {
    ASSERT_TRUE(store_->tag(image.id, *oci::ImageRef::parse(name)));
  }
};

TEST_F(ImagesTest, AreFoundByNameIdPrefixAndDigest) {
  Image image = add("debian:bookworm", "a");
  for (const std::string& name :
       {std::string("debian:bookworm"), std::string("docker.io/library/debian:bookworm"),
        image.id.str(), image.id.hex(), std::string(image.id.short_hex()),
        image.id.str().substr(0, 20), "debian@" + image.manifest.str()}) {
    Result<Image> found = store_->find(name);
    ASSERT_TRUE(found) << name << ": " << found.error().message();
    EXPECT_EQ(found->id, image.id);
  }
  for (const std::string& name : {std::string("debian"), std::string("nope"), std::string("zz!"),
                                  std::string(""), "other@" + image.manifest.str()}) {
    Result<Image> found = store_->find(name);
    ASSERT_FALSE(found) << name;
    EXPECT_EQ(found.error().kind(), ErrorKind::kNotFound);
    EXPECT_EQ(found.error().message(), "no such image: " + name);
  }
}

TEST_F(ImagesTest, ANameGoesBeforeAnId) {
  Image first = add("one", "a");
  Image second = add("two", "b");
  std::string prefix(second.id.short_hex());
  tag(first, prefix);
  EXPECT_EQ(store_->find(prefix)->id, first.id);
}

TEST_F(ImagesTest, ListsNewestFirstWithSharedSizes) {
  Image old_image = add("one", "same");
  Image new_image = add("two", "same");
  Result<std::vector<Image>> images = store_->list();
  ASSERT_TRUE(images);
  ASSERT_EQ(images->size(), 2u);
  EXPECT_EQ((*images)[0].id, new_image.id);
  EXPECT_EQ((*images)[0].size, 4u);
  EXPECT_EQ((*images)[0].unique_size, 0u);
  EXPECT_EQ((*images)[0].own_size, 4u) << "neither stands on the other";
  EXPECT_EQ(names_in("layers").find(' '), std::string::npos) << "one layer serves both";
  ASSERT_TRUE(store_->remove("two", false, {}));
  EXPECT_EQ(store_->list()->at(0).unique_size, 4u);
  EXPECT_TRUE(store_->mount_plan(*store_->find("one")));
}

TEST_F(ImagesTest, AMovedTagLeavesTheOldImageWithoutName) {
  Image first = add("app", "1");
  Image second = add("app", "2");
  EXPECT_EQ(store_->find("app")->id, second.id);
  EXPECT_TRUE(store_->find(first.id.str())->tags.empty());
}

TEST_F(ImagesTest, RemovingOneOfTwoTagsOnlyUntags) {
  Image image = add("app:1", "a");
  tag(image, "app:2");
  Result<Store::Removed> removed = store_->remove("app:1", false, {});
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->untagged, std::vector<std::string>{"app:1"});
  EXPECT_TRUE(removed->deleted.empty());
  removed = store_->remove("app:2", false, {});
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->deleted.size(), 2u);
  EXPECT_EQ(removed->deleted.front(), image.id.str());
  expect_empty();
}

TEST_F(ImagesTest, RemovingByIdTakesAllTagsOfOneRepository) {
  Image image = add("app:1", "a");
  tag(image, "app:2");
  Result<Store::Removed> removed = store_->remove(image.id.short_hex(), false, {});
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(removed->untagged.size(), 2u);
  expect_empty();
}

TEST_F(ImagesTest, RemovingByIdOfSeveralRepositoriesNeedsForce) {
  Image image = add("app", "a");
  tag(image, "other");
  std::string id(image.id.short_hex());
  Result<Store::Removed> removed = store_->remove(id, false, {});
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(removed.error().message(),
            "conflict: unable to delete " + id +
                " (must be forced) - image is referenced in multiple repositories");
  EXPECT_TRUE(store_->remove(id, true, {}));
  expect_empty();
}

TEST_F(ImagesTest, AnImageInUseIsNotRemoved) {
  Image image = add("app", "a");
  std::string id(image.id.short_hex());
  std::vector<std::pair<std::string, std::string>> users = {{image.id.str(), "0123456789abcdef"}};
  Result<Store::Removed> removed = store_->remove("app", false, users);
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message(),
            "conflict: unable to remove repository reference \"app\" (must force) - container "
            "0123456789ab is using its referenced image " +
                id);
  EXPECT_FALSE(store_->remove(id, true, users));
  removed = store_->remove("app", true, users);
  ASSERT_TRUE(removed);
  EXPECT_EQ(removed->untagged, std::vector<std::string>{"app:latest"});
  EXPECT_TRUE(removed->deleted.empty());
  EXPECT_TRUE(store_->mount_plan(*store_->find(id)));
}

TEST_F(ImagesTest, RemovingWhatIsNotThereIsNotFound) {
  Result<Store::Removed> removed = store_->remove("nope", true, {});
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().message(), "no such image: nope");
  expect_empty();
}

TEST_F(ImagesTest, ADamagedLayerIsNamedAndHealedByImportingAgain) {
  Image image = add("app", "a");
  std::filesystem::remove_all(root_ + "/layers");
  std::filesystem::remove_all(root_ + "/trees");
  std::filesystem::create_directory(root_ + "/layers");
  std::filesystem::create_directory(root_ + "/trees");
  open();
  Result<MountPlan> plan = store_->mount_plan(image);
  ASSERT_FALSE(plan);
  EXPECT_EQ(plan.error().kind(), ErrorKind::kCorrupt);
  add("app2", "a");
  EXPECT_TRUE(store_->mount_plan(image));
}

}  // namespace
}  // namespace wherry::store
