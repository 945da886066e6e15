// Compressing a layer: gzip by ISA-L, zstd by libzstd, or nothing at all. Only inside
// wherry-unpack.
//
// The same tar gives the same bytes with the same library on the same kind of processor, not
// everywhere: only the diff id names a layer for good.
#pragma once

#include <memory>
#include <string_view>

#include "archive/blob_writer.h"
#include "archive/compression.h"

namespace wherry::archive {

class Compressor {
 public:
  // `blob` is borrowed and gets the compressed bytes.
  static Result<std::unique_ptr<Compressor>> open(Compression compression, BlobWriter& blob);
  virtual ~Compressor() = default;
  virtual Result<void> write(std::string_view bytes) = 0;
  // Once, at the end.
  virtual Result<void> finish() = 0;
};

}  // namespace wherry::archive
