#include "archive/input.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <utility>

namespace wherry::archive {
namespace {

constexpr size_t kReadSize = 256u << 10;

}  // namespace

Input::Input(int fd, std::optional<FilePart> part)
    : fd_(fd), part_(part), buffer_(kReadSize, '\0') {}

Result<size_t> Input::read_into(size_t offset) {
  char* into = buffer_.data() + offset;
  size_t size = buffer_.size() - offset;
  if (part_) size = std::min<uint64_t>(size, part_->size);
  for (;;) {
    ssize_t got =
        part_ ? pread(fd_, into, size, static_cast<off_t>(part_->offset)) : read(fd_, into, size);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read the archive");
    const auto count = static_cast<size_t>(got);
    if (part_) part_ = {part_->offset + count, part_->size - count};
    return count;
  }
}

Result<std::string_view> Input::peek(size_t size) {
  // A pipe may give its first bytes one by one.
  while (peeked_ < size) {
    TRY(size_t got, read_into(peeked_));
    if (got == 0) break;
    peeked_ += got;
  }
  return std::string_view(buffer_.data(), peeked_);
}

Result<std::string_view> Input::next() {
  size_t size = std::exchange(peeked_, 0);
  if (size == 0) {
    TRY(size, read_into(0));
  }
  std::string_view bytes(buffer_.data(), size);
  if (blob_ != nullptr && size > 0) TRY_VOID(blob_->write(bytes));
  return bytes;
}

}  // namespace wherry::archive
