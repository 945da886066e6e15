#include "archive/gzip_reader.h"

#include <unistd.h>

#include <algorithm>
#include <cerrno>

namespace wherry::archive {
namespace {

constexpr size_t kBufferSize = 128u << 10;
constexpr int kGzipOnly = 16 + MAX_WBITS;

}  // namespace

GzipReader::GzipReader(int fd, std::string start)
    : fd_(fd), input_(std::move(start)), output_(kBufferSize, '\0') {
  stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
  stream_.avail_in = static_cast<uInt>(input_.size());
}

Result<std::unique_ptr<GzipReader>> GzipReader::open(int fd, std::string start) {
  std::unique_ptr<GzipReader> reader(new GzipReader(fd, std::move(start)));
  if (inflateInit2(&reader->stream_, kGzipOnly) != Z_OK)
    return Error(ErrorKind::kResourceExhausted, "cannot make a gzip reader: no memory");
  return reader;
}

GzipReader::~GzipReader() {
  inflateEnd(&stream_);
}

Error GzipReader::damaged(const char* why) const {
  return Error(ErrorKind::kCorrupt, std::string("damaged gzip data: ") + why);
}

Result<bool> GzipReader::fill() {
  input_.resize(kBufferSize);
  ssize_t got = 0;
  do {
    got = read(fd_, input_.data(), input_.size());
  } while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "cannot read the archive");
  stream_.next_in = reinterpret_cast<Bytef*>(input_.data());
  stream_.avail_in = static_cast<uInt>(got);
  return got > 0;
}

// False when only padding follows.
Result<bool> GzipReader::begin_member() {
  for (;;) {
    while (stream_.avail_in > 0 && *stream_.next_in == 0) {
      ++stream_.next_in;
      --stream_.avail_in;
    }
    if (stream_.avail_in > 0) break;
    TRY(bool more, fill());
    if (!more) return false;
  }
  if (inflateReset(&stream_) != Z_OK) return damaged("cannot begin another member");
  between_members_ = false;
  return true;
}

Result<std::string_view> GzipReader::next() {
  for (;;) {
    if (between_members_) {
      TRY(bool more, begin_member());
      if (!more) return std::string_view();
    }
    if (stream_.avail_in == 0) {
      TRY(bool more, fill());
      if (!more) return damaged("it ends in the middle");
    }
    stream_.next_out = reinterpret_cast<Bytef*>(output_.data());
    stream_.avail_out = static_cast<uInt>(output_.size());
    int code = inflate(&stream_, Z_NO_FLUSH);
    if (code == Z_MEM_ERROR) return Error::from_errno(ENOMEM, "cannot read the archive");
    if (code != Z_OK && code != Z_STREAM_END && code != Z_BUF_ERROR)
      return damaged(stream_.msg != nullptr ? stream_.msg : "unknown error");
    between_members_ = code == Z_STREAM_END;
    size_t size = output_.size() - stream_.avail_out;
    if (size > 0) return std::string_view(output_.data(), size);
  }
}

}  // namespace wherry::archive
