// Bytes one after the other, from wherever: what the tar reader reads.
#pragma once

#include <span>

#include "base/result.h"

namespace wherry::archive {

class ByteStream {
 public:
  virtual ~ByteStream() = default;
  // Puts the next bytes into `into` (not empty), as many as are at hand and at least one; 0 at the
  // end, which also says that the stream was whole. Not to be called after the end or an error.
  virtual Result<size_t> read(std::span<char> into) = 0;
};

}  // namespace wherry::archive
