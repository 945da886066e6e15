#include "archive/layer_source.h"

namespace wherry::archive {

Result<void> LayerSource::open() {
  TRY(std::string_view start, input_.peek(kMagicSize));
  encoding_ = encoding_of(start);
  kept_ = exact_ || encoding_ == Encoding::kGzip || encoding_ == Encoding::kZstd;
  if (kept_) {
    input_.copy_to(&written_);
  } else if (encoding_ != Encoding::kPlain) {
    input_.copy_to(&read_);
  }
  TRY(decompressor_, open_decompressor(encoding_, input_));
  return {};
}

Result<size_t> LayerSource::read(std::span<char> into) {
  if (!decompressor_) TRY_VOID(open());
  return decompressor_->read(into);
}

LayerSource::Summary LayerSource::finish() {
  Summary summary;
  if (kept_) {
    if (encoding_ == Encoding::kGzip) summary.compression = Compression::kGzip;
    if (encoding_ == Encoding::kZstd) summary.compression = Compression::kZstd;
    summary.blob = written_.finish();
    summary.input = summary.blob;
  } else if (encoding_ != Encoding::kPlain) {
    summary.input = read_.finish();
  }
  return summary;
}

}  // namespace wherry::archive
