#include "archive/layer_source.h"

#include <utility>

namespace wherry::archive {

Result<void> LayerSource::open() {
  TRY(std::string_view start, input_.peek(kMagicSize));
  encoding_ = encoding_of(start);
  bool travels_so = encoding_ == Encoding::kGzip || encoding_ == Encoding::kZstd;
  if (travels_so) input_.copy_to(&written_);
  if (encoding_ == Encoding::kBzip2 || encoding_ == Encoding::kXz) input_.copy_to(&read_);
  if (!travels_so && blob_fd_ >= 0) {
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
  switch (encoding_) {
    case Encoding::kGzip:
    case Encoding::kZstd:
      summary.compression = encoding_ == Encoding::kGzip ? Compression::kGzip : Compression::kZstd;
      summary.blob = written_.finish();
      summary.input = summary.blob;
      return summary;
    case Encoding::kBzip2:
    case Encoding::kXz:
      summary.input = read_.finish();
      break;
    case Encoding::kPlain:
      break;
  }
  if (gzip_) {
    summary.compression = Compression::kGzip;
    summary.blob = written_.finish();
  }
  return summary;
}

}  // namespace wherry::archive
