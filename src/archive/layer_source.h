// LayerSource: the uncompressed tar of a descriptor, what came through it digested on the way.
//
// A gzip or zstd stream is copied to the blob byte for byte, anything else is compressed into it
// with gzip, unless the very bytes are wanted. Only inside wherry-unpack, after it has given up its
// rights.
#pragma once

#include <memory>
#include <optional>

#include "archive/compressor.h"
#include "archive/decompressor.h"

namespace wherry::archive {

class LayerSource : public ByteStream {
 public:
  // Both descriptors stay the caller's; `blob` -1: nothing is kept. Nothing is read before read().
  LayerSource(int fd, int blob, bool exact = false)
      : input_(fd), blob_fd_(blob), exact_(exact), read_(-1), written_(blob) {}
  Result<size_t> read(std::span<char> into) override;

  // After read() has given 0. Absent digests are those of the tar itself.
  struct Summary {
    std::optional<BlobWriter::Summary> input;  // what came from the descriptor
    std::optional<BlobWriter::Summary> blob;   // what was kept, or would have been
    Compression compression = Compression::kNone;
  };
  Summary finish();

 private:
  Result<void> open();

  Input input_;
  int blob_fd_;
  bool exact_;
  bool kept_as_it_is_ = false;
  BlobWriter read_;     // of bzip2 and xz that gzip_ is to replace
  BlobWriter written_;  // of what is kept as it is, or what gzip_ makes
  Encoding encoding_ = Encoding::kPlain;
  std::unique_ptr<ByteStream> decompressor_;
  std::unique_ptr<Compressor> gzip_;
};

}  // namespace wherry::archive
