// Blocks between two threads.
#include "archive/block_queue.h"

#include <gtest/gtest.h>

#include <cstring>
#include <thread>

namespace wherry::archive {
namespace {

TEST(BlockQueue, BytesArriveInOrderAndThenTheEnd) {
  BlockQueue queue;
  constexpr int kCount = 500;
  std::thread producer([&] {
    for (int i = 0; i < kCount; ++i) {
      auto block = queue.begin_put();
      ASSERT_TRUE(block);
      memset(block->data(), i % 251, block->size());
      queue.put(1 + static_cast<size_t>(i) * 100);
    }
    queue.put_end({});
  });
  for (int i = 0; i < kCount; ++i) {
    Result<std::string_view> bytes = queue.take();
    ASSERT_TRUE(bytes);
    ASSERT_EQ(bytes->size(), 1 + static_cast<size_t>(i) * 100);
    ASSERT_EQ(bytes->find_first_not_of(static_cast<char>(i % 251)), std::string_view::npos);
  }
  EXPECT_TRUE(queue.take()->empty());
  producer.join();
}

TEST(BlockQueue, AnErrorArrivesAfterTheBytesBeforeIt) {
  BlockQueue queue;
  ASSERT_TRUE(queue.begin_put());
  queue.put(3);
  queue.put_end(Error(ErrorKind::kCorrupt, "broken"));
  EXPECT_EQ(queue.take()->size(), 3u);
  Result<std::string_view> end = queue.take();
  ASSERT_FALSE(end);
  EXPECT_EQ(end.error().message(), "broken");
}

TEST(BlockQueue, ACancelledQueueLetsItsProducerGo) {
  BlockQueue queue;
  std::thread producer([&] {
    while (queue.begin_put()) queue.put(1);
  });
  ASSERT_TRUE(queue.take());
  queue.cancel();
  producer.join();
}

}  // namespace
}  // namespace wherry::archive
