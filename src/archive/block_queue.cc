#include "archive/block_queue.h"

#include <utility>

namespace wherry::archive {

BlockQueue::BlockQueue() {
  for (Block& block : blocks_) block.bytes.resize(kBlockSize);
}

std::optional<std::span<char>> BlockQueue::begin_put() {
  std::unique_lock lock(mutex_);
  changed_.wait(lock, [this] { return filled_ < kBlocks || cancelled_; });
  if (cancelled_) return std::nullopt;
  return std::span<char>(blocks_[(first_ + filled_) % kBlocks].bytes);
}

void BlockQueue::put(size_t size) {
  std::lock_guard lock(mutex_);
  blocks_[(first_ + filled_) % kBlocks].size = size;
  ++filled_;
  changed_.notify_one();
}

void BlockQueue::put_end(Result<void> how) {
  std::lock_guard lock(mutex_);
  end_ = std::move(how);
  changed_.notify_one();
}

Result<std::string_view> BlockQueue::take() {
  std::unique_lock lock(mutex_);
  if (std::exchange(holding_, false)) {
    first_ = (first_ + 1) % kBlocks;
    --filled_;
    changed_.notify_one();
  }
  changed_.wait(lock, [this] { return filled_ > 0 || end_.has_value(); });
  if (filled_ == 0) {
    if (!*end_) return end_->error();
    return std::string_view();
  }
  holding_ = true;
  const Block& block = blocks_[first_];
  return std::string_view(block.bytes.data(), block.size);
}

void BlockQueue::cancel() {
  std::lock_guard lock(mutex_);
  cancelled_ = true;
  changed_.notify_one();
}

}  // namespace wherry::archive
