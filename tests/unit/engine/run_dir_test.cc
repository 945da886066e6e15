#include "engine/run_dir.h"

#include <gtest/gtest.h>
#include <unistd.h>

#include <thread>

#include "scratch_directory.h"
#include "sys/file.h"

namespace wherry::engine {
namespace {

constexpr int kLongMs = 60'000;

// A run directory, and somebody who behaves as its monitor.
class RunDirTest : public ::testing::Test {
 protected:
  void SetUp() override {
    containers_ = *sys::open_file(base_, O_RDONLY | O_DIRECTORY);
    Result<sys::Fd> dir = make_run_dir(containers_.get(), "c", StartMarker::kRun);
    ASSERT_TRUE(dir);
    dir_ = std::move(*dir);
  }

  std::optional<sys::FileLock> hold() {
    return *sys::FileLock::try_acquire(dir_.get(), "monitor.lock", sys::FileLock::Mode::kExclusive);
  }
  void write(const std::string& status, int64_t started_ns) {
    monitor::RunState state;
    state.status = status;
    state.started_ns = started_ns;
    ASSERT_TRUE(
        sys::write_file_atomic(dir_.get(), "state.json", to_json(state), 0600, sys::Sync::kNone));
  }
  RunView view() { return *observe_run(containers_.get(), "c", Sight::kHolder); }

  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();
  sys::Fd containers_, dir_;
};

TEST_F(RunDirTest, AStartIsWaitedForUntilItsProgramRuns) {
  std::optional<sys::FileLock> monitor = hold();
  write("created", 0);
  std::thread running([&] { write("running", 5); });
  Result<RunView> seen = outwait_start(containers_.get(), "c", kLongMs);
  running.join();
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_TRUE(seen->running());
}

TEST_F(RunDirTest, AStartIsWaitedForUntilItsMonitorHasGivenUp) {
  std::optional<sys::FileLock> monitor = hold();
  std::thread ending([&] { monitor.reset(); });
  Result<RunView> seen = outwait_start(containers_.get(), "c", kLongMs);
  ending.join();
  ASSERT_TRUE(seen) << seen.error().message();
  EXPECT_EQ(seen->life, RunView::Life::kLost);
  EXPECT_EQ(seen->marker, StartMarker::kRun);
}

TEST_F(RunDirTest, AMonitorThatDoesNeitherIsNamed) {
  std::optional<sys::FileLock> monitor = hold();
  write("created", 0);
  Result<RunView> seen = outwait_start(containers_.get(), "c", 1);
  ASSERT_FALSE(seen);
  EXPECT_EQ(seen.error().kind(), ErrorKind::kUnavailable);
  EXPECT_NE(seen.error().message().find("'c' does not answer"), std::string::npos);
}

TEST_F(RunDirTest, ABarredMonitorCannotBegin) {
  std::optional<sys::FileLock> barred = *bar_monitor(containers_.get(), "c");
  ASSERT_TRUE(barred);
  EXPECT_FALSE(hold());
  barred.reset();
  EXPECT_TRUE(hold());
}

TEST_F(RunDirTest, AMonitorThatHasBegunIsNotBarred) {
  std::optional<sys::FileLock> monitor = hold();
  EXPECT_FALSE(*bar_monitor(containers_.get(), "c"));
  EXPECT_EQ(view().life, RunView::Life::kLive);
}

TEST_F(RunDirTest, WithoutADirectoryThereIsNothingToWaitForOrToBar) {
  EXPECT_EQ(outwait_start(containers_.get(), "other", kLongMs)->life, RunView::Life::kNone);
  EXPECT_FALSE(*bar_monitor(containers_.get(), "other"));
}

}  // namespace
}  // namespace wherry::engine
