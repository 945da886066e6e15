#include "store/own_spans.h"
#include "scratch_directory.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstring>
#include <filesystem>
#include <fstream>
#include <string>

namespace wherry::store {
namespace {

namespace fs = std::filesystem;

class OwnSpansTest : public ::testing::Test {
 protected:
  // The time of change of a file that is touched now.
  timespec touched(const std::string& name = "file") {
    std::ofstream(base_ + "/" + name) << "x";
    return change_of(name);
  }
  timespec change_of(const std::string& name) const {
    struct stat info{};
    EXPECT_EQ(stat((base_ + "/" + name).c_str(), &info), 0);
    return info.st_ctim;
  }
  std::string file() const { return base_ + "/own-spans"; }
  uint64_t size() const { return fs::file_size(file()); }
  static timespec moved(timespec time, long nanoseconds) {
    const int64_t sum = time.tv_nsec + nanoseconds;
    constexpr int64_t kSecond = 1'000'000'000;
    const int64_t seconds = sum < 0 ? -((kSecond - 1 - sum) / kSecond) : sum / kSecond;
    return {time.tv_sec + seconds, static_cast<long>(sum - seconds * kSecond)};
  }

  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();
};

TEST_F(OwnSpansTest, WhatWasStampedWithinASpanIsKnownAndNothingJustBeforeOrAfter) {
  const timespec before = touched("before");
  OwnSpans own(base_);
  own.begin();
  const timespec first = touched("first"), last = touched("last");
  EXPECT_FALSE(own.knows(first));
  own.keep();
  const timespec after = touched("after");
  const OwnSpans later(base_);
  EXPECT_TRUE(later.knows(first));
  EXPECT_TRUE(later.knows(last));
  EXPECT_FALSE(later.knows(before));
  EXPECT_FALSE(later.knows(after));
}

TEST_F(OwnSpansTest, ASpanThatWasNotBegunIsNotKept) {
  OwnSpans(base_).keep();
  EXPECT_FALSE(fs::exists(file()));
}

TEST_F(OwnSpansTest, SpansOfOthersStay) {
  OwnSpans one(base_), two(base_);
  one.begin();
  const timespec first = touched();
  two.begin();
  one.keep();
  const timespec second = touched();
  two.keep();
  const OwnSpans later(base_);
  EXPECT_TRUE(later.knows(first));
  EXPECT_TRUE(later.knows(second));
  EXPECT_EQ(size(), 32u);
}

TEST_F(OwnSpansTest, WhatARemovalHasChangedIsNotKnownWhoeversSpanItIsIn) {
  OwnSpans own(base_);
  own.begin();
  const timespec first = touched("first");
  own.keep();
  own.begin();
  timespec taken{};
  {
    const Removal removal(base_);
    taken = touched("taken");
  }
  own.keep();
  own.begin();
  const timespec last = touched("last");
  own.keep();
  const OwnSpans later(base_);
  EXPECT_TRUE(later.knows(first));
  EXPECT_FALSE(later.knows(taken));
  EXPECT_TRUE(later.knows(last));
}

TEST_F(OwnSpansTest, OfWholeSecondsAllOfTheSecondCounts) {
  const timespec now = touched();
  const int64_t second = int64_t{now.tv_sec} * 1'000'000'000;
  const int64_t span[] = {second - 3'500'000'000, second - 3'400'000'000};
  std::ofstream(file(), std::ios::binary).write(reinterpret_cast<const char*>(span), sizeof span);
  EXPECT_TRUE(OwnSpans(base_).knows({now.tv_sec - 4, 0}));
  EXPECT_FALSE(OwnSpans(base_).knows({now.tv_sec - 4, 1}));
  EXPECT_FALSE(OwnSpans(base_).knows({now.tv_sec - 3, 0}));
}

TEST_F(OwnSpansTest, AFileThatIsTornOrSenselessSaysNothing) {
  const timespec now = touched();
  const int64_t time = int64_t{now.tv_sec} * 1'000'000'000 + now.tv_nsec;
  const int64_t senseless[][2] = {
      {0, 0}, {-5, time + 1}, {time + 1, time - 1}, {time - 1, INT64_MAX}, {INT64_MIN, INT64_MAX}};
  for (const auto& span : senseless) {
    std::ofstream(file(), std::ios::binary).write(reinterpret_cast<const char*>(span), 16);
    EXPECT_FALSE(OwnSpans(base_).knows(now)) << span[0] << " " << span[1];
  }
  const int64_t right[] = {time - 1, time + 1};
  std::ofstream torn(file(), std::ios::binary);
  torn.write(reinterpret_cast<const char*>(right), 16);
  torn.write("torn", 4);
  torn.close();
  EXPECT_TRUE(OwnSpans(base_).knows(now));
  EXPECT_FALSE(OwnSpans(base_).knows(moved(now, 5)));
  OwnSpans next(base_);
  next.begin();
  const timespec later = touched();
  next.keep();
  EXPECT_EQ(size(), 32u);
  EXPECT_TRUE(OwnSpans(base_).knows(later));
}

TEST_F(OwnSpansTest, TheOlderHalfIsForgottenWhenThereAreTooMany) {
  std::ofstream many(file(), std::ios::binary);
  for (int64_t i = 1; i <= 4096; ++i) {
    const int64_t span[] = {i * 10, i * 10 + 5};
    many.write(reinterpret_cast<const char*>(span), sizeof span);
  }
  many.close();
  EXPECT_TRUE(OwnSpans(base_).knows({0, 12}));
  EXPECT_FALSE(OwnSpans(base_).knows({0, 17}));
  EXPECT_TRUE(OwnSpans(base_).knows({0, 40965}));
  OwnSpans next(base_);
  next.begin();
  next.keep();
  EXPECT_EQ(size(), 2049u * 16);
  EXPECT_FALSE(OwnSpans(base_).knows({0, 12}));
  EXPECT_TRUE(OwnSpans(base_).knows({0, 40965}));
}

}  // namespace
}  // namespace wherry::store
