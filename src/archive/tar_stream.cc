#include "archive/tar_stream.h"

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

namespace wherry::archive {
namespace {

constexpr uint64_t kBlock = 512;
// Writers pad to a record, 10 KiB by custom; this is far beyond, and ends a bomb of zeros.
constexpr uint64_t kMaxTail = 256u << 20;

Error not_a_tar() {
  return Error(ErrorKind::kCorrupt, "not a tar archive");
}

// Zero bytes at the end of `data`.
size_t zeros_at_end(std::string_view data) {
  size_t last = data.find_last_not_of('\0');
  return last == data.npos ? data.size() : data.size() - last - 1;
}

}  // namespace

Result<std::unique_ptr<TarStream>> TarStream::open(Next source) {
  std::unique_ptr<TarStream> stream(new TarStream(std::move(source)));
  stream->tar_ = Reader(archive_read_new(), &archive_read_free);
  if (!stream->tar_)
    return Error(ErrorKind::kResourceExhausted, "cannot make an archive reader: no memory");
  if (archive_read_support_format_tar(stream->tar_.get()) != ARCHIVE_OK)
    return Error(ErrorKind::kUnsupported, "libarchive lacks tar");
  return stream;
}

Error TarStream::corrupt() const {
  int code = archive_errno(tar_.get());
  const char* text = archive_error_string(tar_.get());
  if (code == ENOMEM) return Error::from_errno(ENOMEM, "cannot read the archive");
  return Error(ErrorKind::kCorrupt, "damaged archive at offset " + std::to_string(bytes_) + ": " +
                                        (text != nullptr ? text : "unknown error"));
}

la_ssize_t TarStream::feed(::archive* tar, void* self, const void** buffer) {
  auto* stream = static_cast<TarStream*>(self);
  la_ssize_t size = stream->pull(buffer);
  if (size < 0) archive_set_error(tar, EIO, "cannot decompress");
  return size;
}

la_ssize_t TarStream::pull(const void** buffer) {
  if (failure_) return -1;
  if (ended_) return 0;
  Result<std::string_view> data = source_();
  if (!data) {
    failure_ = std::move(data.error());
    if (failure_->kind() == ErrorKind::kCorrupt)
      failure_ = std::move(*failure_).wrap("damaged archive at offset " + std::to_string(bytes_));
    return -1;
  }
  ended_ = data->empty();
  hash_.update(*data);
  bytes_ += data->size();
  size_t zeros = zeros_at_end(*data);
  trailing_zeros_ = zeros == data->size() ? trailing_zeros_ + zeros : zeros;
  *buffer = data->data();
  return static_cast<la_ssize_t>(data->size());
}

Result<void> TarStream::start() {
  if (archive_read_open2(tar_.get(), this, nullptr, &TarStream::feed, nullptr, nullptr) ==
      ARCHIVE_OK)
    return {};
  return failure_ ? *failure_ : not_a_tar();
}

Result<archive_entry*> TarStream::next() {
  if (!std::exchange(started_, true)) TRY_VOID(start());
  archive_entry* entry = nullptr;
  int code = archive_read_next_header(tar_.get(), &entry);
  if (failure_) return *failure_;
  if (code == ARCHIVE_EOF) return static_cast<archive_entry*>(nullptr);
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
    if (!seen_header_) return not_a_tar();
    return corrupt();
  }
  seen_header_ = true;
  return entry;
}

int64_t TarStream::header_offset() const {
  return archive_read_header_position(tar_.get());
}

Result<bool> TarStream::read_block(Block& block) {
  const void* data = nullptr;
  la_int64_t offset = 0;
  int code = archive_read_data_block(tar_.get(), &data, &block.size, &offset);
  if (code == ARCHIVE_EOF) return false;
  if (failure_) return *failure_;
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return corrupt();
  block.data = static_cast<const char*>(data);
  block.offset = offset;
  return true;
}

Result<TarStream::Summary> TarStream::finish() {
  uint64_t before = bytes_;
  for (;;) {
    const void* data = nullptr;
    la_ssize_t size = pull(&data);
    if (size < 0) return *failure_;
    if (size == 0) break;
    if (bytes_ - before > kMaxTail)
      return Error(ErrorKind::kResourceExhausted, "more than 256 MiB behind the archive's end");
  }
  if (bytes_ == 0) return not_a_tar();
  if (trailing_zeros_ < kBlock)
    return Error(ErrorKind::kCorrupt,
                 "truncated archive: no end mark after " + std::to_string(bytes_) + " bytes");
  return Summary{hash_.finish(), bytes_};
}

}  // namespace wherry::archive
