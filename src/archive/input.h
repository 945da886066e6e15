// Input: the bytes of a descriptor as they come, each shown once to a BlobWriter.
#pragma once

#include <string>
#include <string_view>

#include "archive/blob_writer.h"

namespace wherry::archive {

class Input {
 public:
  explicit Input(int fd);  // borrowed
  // The first bytes, without taking them: at least `size` unless the input is shorter.
  Result<std::string_view> peek(size_t size);
  // From now on, also what was peeked at. Borrowed; may be null.
  void copy_to(BlobWriter* blob) { blob_ = blob; }
  // The next bytes, valid until the next call; none at the end.
  Result<std::string_view> next();

 private:
  Result<size_t> read_into(size_t offset);

  int fd_;
  std::string buffer_;
  size_t peeked_ = 0;
  BlobWriter* blob_ = nullptr;
};

}  // namespace wherry::archive
