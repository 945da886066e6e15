#include "archive/layer_source.h"

#include <utility>

namespace wherry::archive {

Result<void> LayerSource::open() {
  TRY(std::string_view start, input_.peek(kMagicSize));
  encoding_ = encoding_of(start);
  kept_as_it_is_ = exact_ || encoding_ == Encoding::kGzip || encoding_ == Encoding::kZstd;
  if (kept_as_it_is_) {
    input_.copy_to(&written_);
  } else if (encoding_ != Encoding::kPlain) {
    input_.copy_to(&read_);
  }
  if (!kept_as_it_is_ && blob_fd_ >= 0) {
    TRY(gzip_, Compressor::open(Compression::kGzip, written_));
  }
  TRY(decompressor_, open_decompressor(encoding_, input_));
  return {};
}

Result<size_t> LayerSource::read(std::span<char> into) {
  if (!decompressor_) TRY_VOID(open());
  TRY(size_t size, decompressor_->read(into));
  if (!gzip_) return size;
  if (size > 0) {
    TRY_VOID(gzip_->write(std::string_view(into.data(), size)));
  } else {
    TRY_VOID(gzip_->finish());
  }
  return size;
}

LayerSource::Summary LayerSource::finish() {
  Summary summary;
  if (kept_as_it_is_) {
    if (encoding_ == Encoding::kGzip) summary.compression = Compression::kGzip;
    if (encoding_ == Encoding::kZstd) summary.compression = Compression::kZstd;
    summary.blob = written_.finish();
    summary.input = summary.blob;
    return summary;
  }
  if (encoding_ != Encoding::kPlain) summary.input = read_.finish();
  if (gzip_) {
    summary.compression = Compression::kGzip;
    summary.blob = written_.finish();
  }
  return summary;
}

}  // namespace wherry::archive
