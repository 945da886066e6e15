#include "ocicli/container_dir.h"

#include <gtest/gtest.h>
#include <stdlib.h>
#include <unistd.h>

#include "sys/file.h"
#include "sys/process.h"

namespace wherry::ocicli {
namespace {

class ContainerDirs : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wherry-oci-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    root_ = base_ + "/states";
  }
  void TearDown() override {
    Result<sys::Fd> parent = sys::open_file("/tmp", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(parent);
    EXPECT_TRUE(sys::remove_tree_at(parent->get(), base_.substr(5)));
  }
  // This very process stands for an init.
  static Record record_of(const std::string& id) {
    Record record;
    record.id = id;
    record.pid = getpid();
    record.start_time = *sys::process_start_time(getpid());
    return record;
  }

  std::string base_, root_;
};

TEST(Ids, AreRuncs) {
  for (const char* id : {"a", "web-1", "a_b+c.d", ".a", "..."}) EXPECT_TRUE(valid_id(id)) << id;
  for (const char* id : {"", ".", "..", "a/b", "a b", "\xc3\xa4", "a\n"})
    EXPECT_FALSE(valid_id(id)) << id;
  EXPECT_FALSE(valid_id(std::string_view("a\0b", 3)));
  EXPECT_FALSE(valid_id(std::string(1025, 'a')));
}

TEST_F(ContainerDirs, WithoutARecordThereIsNoContainer) {
  EXPECT_TRUE(container_ids(root_)->empty());
  Result<ContainerDir> made = ContainerDir::create(root_, "a");
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ(ContainerDir::open(root_, "a").error().message(), "container does not exist");
  EXPECT_TRUE(container_ids(root_)->empty());
  ASSERT_TRUE(made->write(record_of("a")));
  EXPECT_TRUE(ContainerDir::open(root_, "a"));
  EXPECT_EQ(*container_ids(root_), std::vector<std::string>{"a"});
}

TEST_F(ContainerDirs, ANameIsTakenByTheLivingAndFreeAfterTheDead) {
  {
    Result<ContainerDir> made = ContainerDir::create(root_, "a");
    ASSERT_TRUE(made);
    EXPECT_EQ(ContainerDir::create(root_, "a").error().message(),
              "container with given ID already exists");
    ASSERT_TRUE(sys::write_file_atomic(made->fd(), "config.json", "{}", 0600, sys::Sync::kNone));
  }
  // Its maker died before the record.
  Result<ContainerDir> again = ContainerDir::create(root_, "a");
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_FALSE(sys::exists_at(again->fd(), "config.json"));
  ASSERT_TRUE(again->write(record_of("a")));
  again->unlock();
  EXPECT_EQ(ContainerDir::create(root_, "a").error().kind(), ErrorKind::kConflict);
}

TEST_F(ContainerDirs, TheStatusIsTheRecordsAndTheProcesss) {
  Result<ContainerDir> made = ContainerDir::create(root_, "a");
  ASSERT_TRUE(made);
  Record record = record_of("a");
  record.phase = Record::Phase::kCreating;
  ASSERT_TRUE(made->write(record));
  EXPECT_EQ(*ContainerDir::open(root_, "a")->status(record), Status::kCreating);
  made->unlock();
  EXPECT_EQ(*ContainerDir::open(root_, "a")->status(record), Status::kStopped);
  record.phase = Record::Phase::kCreated;
  EXPECT_EQ(*made->status(record), Status::kCreated);
  record.phase = Record::Phase::kStarting;  // and this process is "this program"
  EXPECT_EQ(*made->status(record), Status::kCreated);
  record.phase = Record::Phase::kStarted;
  EXPECT_EQ(*made->status(record), Status::kRunning);
  record.start_time += 1;  // another process has its number now
  EXPECT_EQ(*made->status(record), Status::kStopped);
}

TEST_F(ContainerDirs, RemovalLeavesNothing) {
  Result<ContainerDir> made = ContainerDir::create(root_, "a");
  ASSERT_TRUE(made);
  ASSERT_TRUE(made->write(record_of("a")));
  ASSERT_TRUE(made->remove());
  EXPECT_NE(access((root_ + "/a").c_str(), F_OK), 0);
  EXPECT_FALSE(*ContainerDir::lock_remains(root_, "a"));
}

}  // namespace
}  // namespace wherry::ocicli
