#include "archive/tar_stream.h"

#include <algorithm>
#include <cerrno>
#include <string_view>

namespace wherry::archive {
namespace {

constexpr size_t kReadSize = 128u << 10;
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

Result<std::unique_ptr<TarStream>> TarStream::open(int fd) {
  std::unique_ptr<TarStream> stream(new TarStream);
  stream->fd_ = fd;
  stream->raw_ = Reader(archive_read_new(), &archive_read_free);
  stream->tar_ = Reader(archive_read_new(), &archive_read_free);
  ::archive* raw = stream->raw_.get();
  ::archive* tar = stream->tar_.get();
  if (raw == nullptr || tar == nullptr)
    return Error(ErrorKind::kResourceExhausted, "cannot make an archive reader: no memory");
  if (archive_read_support_filter_gzip(raw) != ARCHIVE_OK ||
      archive_read_support_filter_bzip2(raw) != ARCHIVE_OK ||
      archive_read_support_filter_xz(raw) != ARCHIVE_OK ||
      archive_read_support_filter_zstd(raw) != ARCHIVE_OK ||
      archive_read_support_format_raw(raw) != ARCHIVE_OK ||
      archive_read_support_format_tar(tar) != ARCHIVE_OK)
    return Error(ErrorKind::kUnsupported,
                 "libarchive lacks one of gzip, bzip2, xz, zstd and tar as a library");
  return stream;
}

Error TarStream::corrupt(::archive* reader) const {
  int code = archive_errno(reader);
  const char* text = archive_error_string(reader);
  if (code == ENOMEM) return Error::from_errno(ENOMEM, "cannot read the archive");
  return Error(ErrorKind::kCorrupt, "damaged archive at offset " + std::to_string(bytes_) + ": " +
                                        (text != nullptr ? text : "unknown error"));
}

Result<void> TarStream::open_raw() {
  archive_entry* entry = nullptr;
  int code = archive_read_open_fd(raw_.get(), fd_, kReadSize);
  if (code == ARCHIVE_OK) code = archive_read_next_header(raw_.get(), &entry);
  if (code == ARCHIVE_EOF) return not_a_tar();
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
    // What the raw reader says of an empty input; its error number is not public.
    const char* text = archive_error_string(raw_.get());
    if (text != nullptr && std::string_view(text) == "Unrecognized archive format")
      return not_a_tar();
    return corrupt(raw_.get());
  }
  raw_open_ = true;
  if (archive_read_open2(tar_.get(), this, nullptr, &TarStream::feed, nullptr, nullptr) !=
      ARCHIVE_OK)
    return raw_failed_ ? corrupt(raw_.get()) : not_a_tar();
  return {};
}

la_ssize_t TarStream::feed(::archive* tar, void* self, const void** buffer) {
  auto* stream = static_cast<TarStream*>(self);
  la_ssize_t size = stream->pull(buffer);
  if (size < 0) archive_set_error(tar, EIO, "cannot decompress");
  return size;
}

la_ssize_t TarStream::pull(const void** buffer) {
  if (raw_failed_) return -1;
  size_t size = 0;
  while (!raw_ended_ && size == 0) {
    la_int64_t offset = 0;
    int code = archive_read_data_block(raw_.get(), buffer, &size, &offset);
    if (code == ARCHIVE_EOF) {
      raw_ended_ = true;
      size = 0;
    } else if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
      raw_failed_ = true;
      return -1;
    }
  }
  if (size == 0) return 0;
  std::string_view data(static_cast<const char*>(*buffer), size);
  hash_.update(data);
  bytes_ += size;
  size_t zeros = zeros_at_end(data);
  trailing_zeros_ = zeros == size ? trailing_zeros_ + size : zeros;
  return static_cast<la_ssize_t>(size);
}

Result<archive_entry*> TarStream::next() {
  if (!raw_open_) TRY_VOID(open_raw());
  archive_entry* entry = nullptr;
  int code = archive_read_next_header(tar_.get(), &entry);
  if (raw_failed_) return corrupt(raw_.get());
  if (code == ARCHIVE_EOF) return static_cast<archive_entry*>(nullptr);
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) {
    if (!seen_header_) return not_a_tar();
    return corrupt(tar_.get());
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
  if (raw_failed_) return corrupt(raw_.get());
  if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return corrupt(tar_.get());
  block.data = static_cast<const char*>(data);
  block.offset = offset;
  return true;
}

Result<TarStream::Summary> TarStream::finish() {
  uint64_t before = bytes_;
  for (;;) {
    const void* data = nullptr;
    la_ssize_t size = pull(&data);
    if (size < 0) return corrupt(raw_.get());
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
