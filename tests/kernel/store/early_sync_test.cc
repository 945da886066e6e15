// What a process of its own asks the disk to write while an import goes on.
#include "store/early_sync.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/wait.h>

#include <cerrno>

#include "sys/fd.h"

namespace wherry::store {
namespace {

constexpr uint64_t kMuch = 64u << 20;

// Waits until a child of ours has ended, and leaves it to its owner; false: there is none.
bool has_child() {
  siginfo_t info{};
  return waitid(P_ALL, 0, &info, WEXITED | WNOWAIT) == 0;
}

TEST(EarlySync, BeginsWhenThereIsEnoughToWriteAndLeavesNobody) {
  const sys::Fd directory = *sys::open_file("/dev/shm", O_RDONLY | O_DIRECTORY);
  {
    EarlySync sync;
    sync.count(directory.get(), 1000);
    EXPECT_FALSE(has_child()) << "too little";
    sync.count(directory.get(), kMuch);
    EXPECT_TRUE(has_child());
    sync.count(directory.get(), kMuch);
    EXPECT_TRUE(has_child()) << "the first has ended, and there is more";
  }
  EXPECT_FALSE(has_child());
}

TEST(EarlySync, IsDoneWithoutWhereItCannotBe) {
  EarlySync sync;
  sync.count(-1, kMuch);
  EXPECT_TRUE(has_child()) << "it ends by itself";
}

}  // namespace
}  // namespace wherry::store
