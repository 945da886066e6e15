// LayerSource: the uncompressed tar of a descriptor, what came through it digested on the way.
//
// A gzip or zstd stream is copied to the blob byte for byte; anything else is not kept, unless the
// very bytes are wanted: it can be made again. Only inside wherry-unpack, after it has given up its
// rights.
#pragma once

#include <memory>
#include <optional>

#include "archive/blob_writer.h"
#include "archive/compression.h"
#include "archive/decompressor.h"

namespace wherry::archive {

class LayerSource : public ByteStream {
 public:
  // Both descriptors stay the caller's; `blob` -1: nothing is kept. Nothing is read before read().
  // `part`: of the file `fd`; else all that it still gives.
  LayerSource(int fd, int blob, bool exact = false, std::optional<FilePart> part = {})
      : input_(fd, part), exact_(exact), read_(-1), written_(blob) {}
  Result<size_t> read(std::span<char> into) override;

  // After read() has given 0. Absent digests are those of the tar itself.
  struct Summary {
    std::optional<BlobWriter::Summary> input;  // what came from the descriptor
    std::optional<BlobWriter::Summary> blob;   // what was kept, or would have been; else nothing
    Compression compression = Compression::kNone;
  };
  Summary finish();

 private:
  Result<void> open();

  Input input_;
  bool exact_;
  bool kept_ = false;
  BlobWriter read_;     // of bzip2 and xz, which nobody wants to have back
  BlobWriter written_;  // of what is kept
  Encoding encoding_ = Encoding::kPlain;
  std::unique_ptr<ByteStream> decompressor_;
};

}  // namespace wherry::archive
