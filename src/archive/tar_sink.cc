#include "archive/tar_sink.h"

#include <algorithm>
#include <cstring>
#include <utility>

#include "archive/block_queue.h"
#include "archive/compressor.h"

namespace wherry::archive {

struct TarSink::Behind {
  explicit Behind(int fd) : blob(fd) {}
  BlockQueue queue;
  BlobWriter blob;
};

namespace {

Result<BlobWriter::Summary> compress(BlockQueue& queue, BlobWriter& blob, Compression compression) {
  TRY(std::unique_ptr<Compressor> compressor, Compressor::open(compression, blob));
  for (;;) {
    TRY(std::string_view bytes, queue.take());
    if (bytes.empty()) break;
    TRY_VOID(compressor->write(bytes));
  }
  TRY_VOID(compressor->finish());
  return blob.finish();
}

}  // namespace

TarSink::TarSink(Compression compression, int blob, Worker worker)
    : behind_(std::make_shared<Behind>(blob)),
      plain_(blob < 0 || compression == Compression::kNone) {
  if (plain_) compression = Compression::kNone;
  auto promise = std::make_shared<std::promise<Result<BlobWriter::Summary>>>();
  blob_ = promise->get_future();
  worker.run([behind = behind_, promise, compression] {
    Result<BlobWriter::Summary> result = compress(behind->queue, behind->blob, compression);
    promise->set_value(std::move(result));
    behind->queue.cancel();
  });
}

TarSink::~TarSink() {
  behind_->queue.put_end(Error(ErrorKind::kInternal, "packing was given up"));
}

// Why the other thread takes no more.
Error TarSink::failure() {
  Result<BlobWriter::Summary> result = blob_.get();
  if (result) return Error(ErrorKind::kInternal, "the compressor ended too early");
  return std::move(result.error());
}

Result<void> TarSink::write(std::string_view bytes) {
  if (!plain_) hash_.update(bytes);
  size_ += bytes.size();
  while (!bytes.empty()) {
    if (!block_) block_ = behind_->queue.begin_put();
    if (!block_) return failure();
    size_t part = std::min(bytes.size(), block_->size() - used_);
    memcpy(block_->data() + used_, bytes.data(), part);
    used_ += part;
    bytes.remove_prefix(part);
    if (used_ < block_->size()) continue;
    behind_->queue.put(std::exchange(used_, 0));
    block_.reset();
  }
  return {};
}

Result<void> TarSink::write_zeros(size_t count) {
  constexpr char kZeros[1024] = {};
  for (; count > 0; count -= std::min(count, sizeof kZeros))
    TRY_VOID(write(std::string_view(kZeros, std::min(count, sizeof kZeros))));
  return {};
}

Result<TarSink::Summary> TarSink::finish() {
  if (used_ > 0) behind_->queue.put(std::exchange(used_, 0));
  behind_->queue.put_end({});
  TRY(BlobWriter::Summary blob, blob_.get());
  if (plain_) return Summary{blob, blob};
  return Summary{{hash_.finish(), size_}, blob};
}

}  // namespace wherry::archive
