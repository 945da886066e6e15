// TarSink: where a packed tar goes. The other thread compresses, hashes and writes it; one that is
// not plain is hashed here as well.
#pragma once

#include <future>
#include <memory>
#include <optional>
#include <span>
#include <string_view>

#include "archive/blob_writer.h"
#include "archive/compression.h"
#include "archive/worker.h"
#include "sys/sha256.h"

namespace wherry::archive {

class TarSink {
 public:
  // `blob` -1: the tar is only hashed.
  TarSink(Compression compression, int blob, Worker worker);
  ~TarSink();
  TarSink(const TarSink&) = delete;
  TarSink& operator=(const TarSink&) = delete;

  Result<void> write(std::string_view bytes);
  Result<void> write_zeros(size_t count);

  struct Summary {
    BlobWriter::Summary tar;
    BlobWriter::Summary blob;
  };
  // Once, at the end.
  Result<Summary> finish();

 private:
  struct Behind;  // what both threads use
  Error failure();

  std::shared_ptr<Behind> behind_;
  bool plain_;  // the blob is the tar
  std::future<Result<BlobWriter::Summary>> blob_;
  std::optional<std::span<char>> block_;
  size_t used_ = 0;
  sys::Sha256 hash_;
  uint64_t size_ = 0;
};

}  // namespace wherry::archive
