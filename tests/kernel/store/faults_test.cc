// Death and full disks: after each an image is there whole or not at all, and a sweep leaves
// nothing else.
#include <sched.h>
#include <sys/mount.h>
#include <sys/wait.h>

#include "base/failpoint.h"
#include "kernel/store/store_fixture.h"

namespace wherry::store {
namespace {

using testing::TarBuilder;

std::string some_tar() {
  TarBuilder tar;
  for (int i = 0; i < 20; ++i)
    tar.file("dir/file" + std::to_string(i), std::string(10'000, static_cast<char>('a' + i)));
  return tar.bytes();
}

class FaultTest : public StoreFixture {
 protected:
  // Runs `action` in a process of its own with a failpoint armed; how it ended.
  template <typename Action>
  int in_child(const std::string& failpoint, Action action) {
    store_.reset();
    database_.reset();
    pid_t pid = fork();
    if (pid == 0) {
      setenv("WHERRY_FAILPOINT", failpoint.c_str(), 1);
      arm_failpoints();
      open();
      _exit(action() ? 0 : 1);
    }
    int status = -1;
    EXPECT_EQ(waitpid(pid, &status, 0), pid);
    open();
    return status;
  }
  // Every layer that is there is whole and recorded, nothing half-made is left.
  void expect_consistent(bool image_expected) {
    ASSERT_TRUE(store_->sweep());
    EXPECT_EQ(names_in("incoming"), "");
    Result<std::vector<Image>> images = store_->list();
    ASSERT_TRUE(images);
    ASSERT_EQ(images->size(), image_expected ? 1u : 0u);
    if (!image_expected) {
      EXPECT_EQ(names_in("layers"), "");
      return;
    }
    Result<MountPlan> plan = store_->mount_plan(images->front());
    ASSERT_TRUE(plan);
    for (int i = 0; i < 20; ++i)
      EXPECT_EQ(content(plan->lower.front() + "/dir/file" + std::to_string(i)),
                std::string(10'000, static_cast<char>('a' + i)));
  }
  void expect_usable_again() {
    Result<Image> again = import(some_tar());
    ASSERT_TRUE(again) << again.error().message();
    EXPECT_TRUE(store_->find("test"));
  }
};

TEST_F(FaultTest, AKilledImportLeavesOldOrNew) {
  const std::pair<const char*, bool> points[] = {
      {"store.import.begin", false},   {"archive.unpack.entry@5", false},
      {"store.layer.unpacked", false}, {"store.layer.synced", false},
      {"state.begin", false},          {"store.layer.renamed", false},
      {"store.image.before", false},   {"state.commit.before", false},
      {"state.commit.after", true},    {"store.image.after", true}};
  for (auto [point, there] : points) {
    SCOPED_TRACE(point);
    std::string failpoint(point);
    size_t at = failpoint.find('@');
    std::string armed =
        failpoint.substr(0, at) + ":kill" + (at == failpoint.npos ? "" : failpoint.substr(at));
    int status = in_child(armed, [&] { return import(some_tar()).has_value(); });
    bool helper_died = failpoint.starts_with("archive.");
    EXPECT_EQ(WIFSIGNALED(status), !helper_died);
    expect_consistent(there);
    expect_usable_again();
    while (store_->find("test")) ASSERT_TRUE(store_->remove("test", true, {}));
    Result<std::vector<Image>> left = store_->list();
    ASSERT_TRUE(left);
    for (const Image& image : *left) ASSERT_TRUE(store_->remove(image.id.str(), true, {}));
    expect_empty();
  }
}

TEST_F(FaultTest, AFailedStepOfAnImportIsToldAndUndone) {
  for (const char* point :
       {"store.import.begin", "archive.unpack.entry", "store.layer.unpacked", "store.layer.synced",
        "store.layer.renamed", "store.image.before", "state.commit.before"}) {
    for (const char* action : {"enospc", "eio"}) {
      SCOPED_TRACE(std::string(point) + ":" + action);
      int status = in_child(std::string(point) + ":" + action + "@1", [&] {
        Result<Image> image = import(some_tar());
        return !image && image.error().message().find("cannot import") == 0 &&
               names_in("layers").empty() && names_in("incoming").empty();
      });
      EXPECT_EQ(status, 0);
      expect_consistent(false);
    }
  }
}

TEST_F(FaultTest, AKilledRemovalLeavesOldOrNew) {
  for (auto [point, there] :
       std::initializer_list<std::pair<const char*, bool>>{{"store.remove.before", true},
                                                           {"state.commit.after", false},
                                                           {"store.remove.recorded", false}}) {
    SCOPED_TRACE(point);
    expect_usable_again();
    int status = in_child(std::string(point) + ":kill@1",
                          [&] { return store_->remove("test", false, {}).has_value(); });
    EXPECT_TRUE(WIFSIGNALED(status));
    expect_consistent(there);
    if (there) {
      ASSERT_TRUE(store_->remove("test", false, {}));
    }
  }
}

TEST_F(FaultTest, ASweepLeavesALivingImportAlone) {
  std::string tar = some_tar();
  sys::Pipe pipe = std::move(*sys::make_pipe());
  pid_t pid = fork();
  ASSERT_GE(pid, 0);
  if (pid == 0) {
    pipe.write.reset();
    open();
    _exit(store_->import_tar(pipe.read.get(), named("test")) ? 0 : 1);
  }
  // Half of it is in the pipe's buffer or read; the import cannot be at its end.
  ASSERT_TRUE(sys::write_all(pipe.write.get(), std::string_view(tar).substr(0, tar.size() / 2)));
  ASSERT_TRUE(store_->sweep());
  ASSERT_TRUE(sys::write_all(pipe.write.get(), std::string_view(tar).substr(tar.size() / 2)));
  pipe.write.reset();
  int status = -1;
  ASSERT_EQ(waitpid(pid, &status, 0), pid);
  EXPECT_EQ(status, 0);
  expect_consistent(true);
}

TEST_F(FaultTest, AFullDiskIsNamedAndLeavesNothing) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  std::string small = base_ + "/small";
  ASSERT_EQ(mkdir(small.c_str(), 0700), 0);
  ASSERT_EQ(mount("tmpfs", small.c_str(), "tmpfs", 0, "size=2m"), 0);
  root_ = small + "/root";
  open();
  sys::Fd big = file_of(TarBuilder().file("small").file("big", std::string(4u << 20, 'b')).bytes());
  Result<Image> image = store_->import_tar(big.get(), named("x"));
  ASSERT_FALSE(image);
  EXPECT_EQ(image.error().errnum(), ENOSPC);
  EXPECT_NE(image.error().message().find("'big'"), std::string::npos) << image.error().message();
  expect_empty();
  EXPECT_TRUE(import(TarBuilder().file("fits").bytes()));
  store_.reset();
  database_.reset();
  EXPECT_EQ(umount2(small.c_str(), MNT_DETACH), 0);
}

}  // namespace
}  // namespace wherry::store
