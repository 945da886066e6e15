// BlobWriter: the compressed bytes of a layer on their way: hashed, counted, and kept in a file
// when there is one.
#pragma once

#include <cstdint>
#include <string_view>

#include "base/digest.h"
#include "sys/sha256.h"

namespace wherry::archive {

class BlobWriter {
 public:
  explicit BlobWriter(int fd) : fd_(fd) {}  // borrowed; -1: nothing is kept
  Result<void> write(std::string_view bytes);

  struct Summary {
    Digest digest;
    uint64_t size = 0;
  };
  Summary finish() { return {hash_.finish(), size_}; }

 private:
  int fd_;
  sys::Sha256 hash_;
  uint64_t size_ = 0;
};

}  // namespace wherry::archive
