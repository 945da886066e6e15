// A store in a directory of its own, with a canary beside it that nothing may touch.
#pragma once

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <sstream>

#include "base/text.h"
#include "state/database.h"
#include "store/store.h"
#include "sys/fd.h"
#include "unit/archive/tar_builder.h"

namespace wherry::store {

class StoreFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    char pattern[] = "/tmp/wherry-store-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
    root_ = base_ + "/root";
    std::ofstream(base_ + "/canary") << "alive";
    open();
  }
  void TearDown() override {
    EXPECT_EQ(content(base_ + "/canary"), "alive");
    struct stat info{};
    EXPECT_EQ(stat((base_ + "/canary").c_str(), &info), 0);
    EXPECT_EQ(info.st_nlink, 1u) << "something was linked to the canary";
    store_.reset();
    database_.reset();
    std::filesystem::remove_all(base_);
  }

  // Also a second time, as the next command would.
  void open() {
    store_.reset();
    database_.reset();
    Result<state::Database> database = state::Database::open(root_);
    ASSERT_TRUE(database) << database.error().message();
    database_ = std::make_unique<state::Database>(std::move(*database));
    // Directories of layers: what the kernel makes of them is looked at elsewhere.
    Result<Store> store = Store::open(*database_, root_, {.run_root = -1, .rung = Rung::kLayers});
    ASSERT_TRUE(store) << store.error().message();
    store_ = std::make_unique<Store>(std::move(*store));
  }

  static sys::Fd file_of(const std::string& bytes) {
    sys::Fd fd(memfd_create("tar", MFD_CLOEXEC));
    EXPECT_TRUE(sys::write_all(fd.get(), bytes));
    lseek(fd.get(), 0, SEEK_SET);
    return fd;
  }
  static ImportOptions named(const std::string& name) {
    ImportOptions options;
    if (!name.empty()) options.reference = *oci::ImageRef::parse(name);
    return options;
  }
  Result<Image> import(const std::string& bytes, const std::string& name = "test") {
    sys::Fd fd = file_of(bytes);
    return store_->import_tar(fd.get(), named(name));
  }
  // Imports what must succeed; the tree's path.
  std::string tree_of(const testing::TarBuilder& tar) {
    Result<Image> image = import(tar.bytes());
    EXPECT_TRUE(image) << image.error().message();
    if (!image) return "";
    Result<MountPlan> plan = store_->mount_plan(*image);
    EXPECT_TRUE(plan && plan->lower.size() == 1);
    return plan->lower.front();
  }
  // Imports what must be refused with a message that has `words`, and leaves nothing.
  void expect_refused(const std::string& bytes, const std::string& words) {
    Result<Image> image = import(bytes);
    ASSERT_FALSE(image) << "accepted, expected: " << words;
    EXPECT_NE(image.error().message().find(words), std::string::npos) << image.error().message();
    expect_empty();
  }
  void expect_empty() {
    EXPECT_EQ(names_in("layers"), "");
    EXPECT_EQ(names_in("incoming"), "");
    EXPECT_EQ(names_in("trees"), "");
    EXPECT_EQ(objects(), 0u);
    EXPECT_TRUE(store_->list() && store_->list()->empty());
  }
  std::string names_in(const std::string& place) const {
    std::string names;
    for (const auto& entry : std::filesystem::directory_iterator(root_ + "/" + place))
      names += (names.empty() ? "" : " ") + entry.path().filename().string();
    return names;
  }
  size_t objects() const {
    size_t count = 0;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root_ + "/objects"))
      count += entry.is_regular_file() ? 1 : 0;
    return count;
  }
  static std::string content(const std::string& path) {
    std::ifstream file(path);
    std::stringstream text;
    text << file.rdbuf();
    return text.str();
  }
  static struct stat info_of(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
  }

  std::string base_;
  std::string root_;
  std::unique_ptr<state::Database> database_;
  std::unique_ptr<Store> store_;
};

}  // namespace wherry::store
