#include "archive/tar_stream.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <string_view>
#include <utility>

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
  if (archive_read_support_filter_bzip2(raw) != ARCHIVE_OK ||
      archive_read_support_filter_xz(raw) != ARCHIVE_OK ||
      archive_read_support_filter_zstd(raw) != ARCHIVE_OK ||
      archive_read_support_format_raw(raw) != ARCHIVE_OK ||
      archive_read_support_format_tar(tar) != ARCHIVE_OK)
    return Error(ErrorKind::kUnsupported,
                 "libarchive lacks one of bzip2, xz, zstd and tar as a library");
  return stream;
}

Error TarStream::corrupt(::archive* reader) const {
  int code = archive_errno(reader);
  const char* text = archive_error_string(reader);
  if (code == ENOMEM) return Error::from_errno(ENOMEM, "cannot read the archive");
  return Error(ErrorKind::kCorrupt, "damaged archive at offset " + std::to_string(bytes_) + ": " +
                                        (text != nullptr ? text : "unknown error"));
}

// One read into input_, which is empty at the end.
Result<void> TarStream::fill_input() {
  input_.resize(kReadSize);
  ssize_t got = 0;
  do {
    got = read(fd_, input_.data(), input_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "cannot read the archive");
  input_.resize(static_cast<size_t>(got));
  return {};
}

la_ssize_t TarStream::read_input(::archive* raw, void* self, const void** buffer) {
  auto* stream = static_cast<TarStream*>(self);
  if (std::exchange(stream->input_taken_, true)) {
    Result<void> filled = stream->fill_input();
    if (!filled) {
      archive_set_error(raw, filled.error().errnum(), "%s", filled.error().message().c_str());
      return -1;
    }
  }
  *buffer = stream->input_.data();
  return static_cast<la_ssize_t>(stream->input_.size());
}

Result<void> TarStream::open_decompressor() {
  std::string start;
  // A pipe may give its first bytes one by one.
  do {
    TRY_VOID(fill_input());
    start += input_;
  } while (start.size() < 2 && !input_.empty());
  if (GzipReader::recognizes(start)) {
    TRY(gzip_, GzipReader::open(fd_, std::move(start)));
    return {};
  }
  input_ = std::move(start);
  input_taken_ = false;
  return open_raw();
}

Result<void> TarStream::open_raw() {
  archive_entry* entry = nullptr;
  int code =
      archive_read_open2(raw_.get(), this, nullptr, &TarStream::read_input, nullptr, nullptr);
  if (code == ARCHIVE_OK) code = archive_read_next_header(raw_.get(), &entry);
  if (code == ARCHIVE_OK || code == ARCHIVE_WARN) return {};
  if (code == ARCHIVE_EOF) return not_a_tar();
  // What the raw reader says of an empty input; its error number is not public.
  const char* text = archive_error_string(raw_.get());
  if (text != nullptr && std::string_view(text) == "Unrecognized archive format")
    return not_a_tar();
  return corrupt(raw_.get());
}

la_ssize_t TarStream::feed(::archive* tar, void* self, const void** buffer) {
  auto* stream = static_cast<TarStream*>(self);
  la_ssize_t size = stream->pull(buffer);
  if (size < 0) archive_set_error(tar, EIO, "cannot decompress");
  return size;
}

// The next uncompressed bytes; none at the end.
Result<std::string_view> TarStream::decompress() {
  if (gzip_) {
    Result<std::string_view> data = gzip_->next();
    if (data || data.error().kind() != ErrorKind::kCorrupt) return data;
    return fail(std::move(data), "damaged archive at offset " + std::to_string(bytes_));
  }
  for (;;) {
    const void* data = nullptr;
    size_t size = 0;
    la_int64_t offset = 0;
    int code = archive_read_data_block(raw_.get(), &data, &size, &offset);
    if (code == ARCHIVE_EOF) return std::string_view();
    if (code != ARCHIVE_OK && code != ARCHIVE_WARN) return corrupt(raw_.get());
    if (size > 0) return std::string_view(static_cast<const char*>(data), size);
  }
}

la_ssize_t TarStream::pull(const void** buffer) {
  if (failure_) return -1;
  if (raw_ended_) return 0;
  Result<std::string_view> data = decompress();
  if (!data) {
    failure_ = std::move(data.error());
    return -1;
  }
  raw_ended_ = data->empty();
  hash_.update(*data);
  bytes_ += data->size();
  size_t zeros = zeros_at_end(*data);
  trailing_zeros_ = zeros == data->size() ? trailing_zeros_ + zeros : zeros;
  *buffer = data->data();
  return static_cast<la_ssize_t>(data->size());
}

Result<void> TarStream::start() {
  TRY_VOID(open_decompressor());
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
  if (failure_) return *failure_;
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
