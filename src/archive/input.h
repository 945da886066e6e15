// Input: the bytes of a descriptor as they come, or of a part of a file, each shown once to a
// BlobWriter.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "archive/blob_writer.h"

namespace wherry::archive {

// Bytes of a file, whatever its position.
struct FilePart {
  uint64_t offset = 0;
  uint64_t size = 0;
};

class Input {
 public:
  // Borrowed. A part that the file does not have ends where the file does.
  explicit Input(int fd, std::optional<FilePart> part = {});
  // The first bytes, without taking them: at least `size` unless the input is shorter.
  Result<std::string_view> peek(size_t size);
  // From now on, also what was peeked at. Borrowed; may be null.
  void copy_to(BlobWriter* blob) { blob_ = blob; }
  // The next bytes, valid until the next call; none at the end.
  Result<std::string_view> next();

 private:
  Result<size_t> read_into(size_t offset);

  int fd_;
  std::optional<FilePart> part_;  // what is left of it
  std::string buffer_;
  size_t peeked_ = 0;
  BlobWriter* blob_ = nullptr;
};

}  // namespace wherry::archive
