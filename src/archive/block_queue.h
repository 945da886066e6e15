// BlockQueue: blocks of bytes from one thread to another, in order, a bounded number of them.
//
// One producer, one consumer. The blocks are reused: no allocation per block. The end is a block of
// no bytes or an error, put by the producer.
#pragma once

#include <array>
#include <condition_variable>
#include <mutex>
#include <optional>
#include <span>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::archive {

class BlockQueue {
 public:
  BlockQueue();

  // The producer: a block to fill, or none when the consumer has cancelled; then put() with the
  // bytes that it holds.
  std::optional<std::span<char>> begin_put();
  void put(size_t size);
  // Ends the queue.
  void put_end(Result<void> how);

  // The consumer: the next bytes, valid until the next call; none at the end.
  Result<std::string_view> take();
  // No more will be taken: the producer is let go.
  void cancel();

 private:
  static constexpr size_t kBlocks = 8;
  static constexpr size_t kBlockSize = 256u << 10;
  struct Block {
    std::vector<char> bytes;
    size_t size = 0;
  };

  std::mutex mutex_;
  std::condition_variable changed_;
  std::array<Block, kBlocks> blocks_;
  size_t first_ = 0;      // the next to take
  size_t filled_ = 0;     // among them the one that was taken last
  bool holding_ = false;  // the consumer looks at the first
  bool cancelled_ = false;
  std::optional<Result<void>> end_;
};

}  // namespace wherry::archive
