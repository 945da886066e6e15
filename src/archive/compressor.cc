#include "archive/compressor.h"

#include <isa-l/igzip_lib.h>
#include <zstd.h>

#include <string>

namespace wherry::archive {
namespace {

constexpr size_t kBufferSize = 128u << 10;
// Of a build's layer 3 takes as long as reading it; gzip's levels above 1 cost more than they save.
constexpr int kZstdLevel = 3;

Error no_memory() {
  return Error(ErrorKind::kResourceExhausted, "cannot compress: no memory");
}

class PlainCompressor : public Compressor {
 public:
  explicit PlainCompressor(BlobWriter& blob) : blob_(blob) {}
  Result<void> write(std::string_view bytes) override { return blob_.write(bytes); }
  Result<void> finish() override { return {}; }

 private:
  BlobWriter& blob_;
};

class GzipCompressor : public Compressor {
 public:
  explicit GzipCompressor(BlobWriter& blob)
      : blob_(blob), level_buffer_(ISAL_DEF_LVL1_DEFAULT, '\0'), output_(kBufferSize, '\0') {
    isal_deflate_init(&stream_);
    stream_.gzip_flag = IGZIP_GZIP;
    stream_.level = 1;
    stream_.level_buf = reinterpret_cast<uint8_t*>(level_buffer_.data());
    stream_.level_buf_size = static_cast<uint32_t>(level_buffer_.size());
  }
  Result<void> write(std::string_view bytes) override { return deflate(bytes, false); }
  Result<void> finish() override { return deflate({}, true); }

 private:
  // Until the input is taken and the output not full.
  Result<void> deflate(std::string_view bytes, bool end) {
    stream_.next_in = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(bytes.data()));
    stream_.avail_in = static_cast<uint32_t>(bytes.size());
    stream_.end_of_stream = end ? 1 : 0;
    do {
      stream_.next_out = reinterpret_cast<uint8_t*>(output_.data());
      stream_.avail_out = static_cast<uint32_t>(output_.size());
      int code = isal_deflate(&stream_);
      if (code != COMP_OK)
        return Error(ErrorKind::kInternal, "cannot compress: code " + std::to_string(code));
      size_t size = output_.size() - stream_.avail_out;
      if (size > 0) TRY_VOID(blob_.write(std::string_view(output_.data(), size)));
    } while (stream_.avail_out == 0 || stream_.avail_in > 0);
    return {};
  }

  BlobWriter& blob_;
  isal_zstream stream_{};
  std::string level_buffer_;
  std::string output_;
};

class ZstdCompressor : public Compressor {
 public:
  explicit ZstdCompressor(BlobWriter& blob)
      : blob_(blob), stream_(ZSTD_createCCtx(), &ZSTD_freeCCtx), output_(kBufferSize, '\0') {}
  bool begin() {
    return stream_ != nullptr &&
           ZSTD_isError(
               ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_compressionLevel, kZstdLevel)) == 0 &&
           ZSTD_isError(ZSTD_CCtx_setParameter(stream_.get(), ZSTD_c_checksumFlag, 1)) == 0;
  }
  Result<void> write(std::string_view bytes) override { return compress(bytes, ZSTD_e_continue); }
  Result<void> finish() override { return compress({}, ZSTD_e_end); }

 private:
  Result<void> compress(std::string_view bytes, ZSTD_EndDirective directive) {
    ZSTD_inBuffer in{bytes.data(), bytes.size(), 0};
    for (;;) {
      ZSTD_outBuffer out{output_.data(), output_.size(), 0};
      size_t left = ZSTD_compressStream2(stream_.get(), &out, &in, directive);
      if (ZSTD_isError(left) != 0)
        return Error(ErrorKind::kInternal,
                     std::string("cannot compress: ") + ZSTD_getErrorName(left));
      if (out.pos > 0) TRY_VOID(blob_.write(std::string_view(output_.data(), out.pos)));
      bool done = directive == ZSTD_e_end ? left == 0 : in.pos == in.size;
      if (done) return {};
    }
  }

  BlobWriter& blob_;
  std::unique_ptr<ZSTD_CCtx, size_t (*)(ZSTD_CCtx*)> stream_;
  std::string output_;
};

}  // namespace

Result<std::unique_ptr<Compressor>> Compressor::open(Compression compression, BlobWriter& blob) {
  switch (compression) {
    case Compression::kGzip:
      return std::unique_ptr<Compressor>(std::make_unique<GzipCompressor>(blob));
    case Compression::kZstd: {
      auto zstd = std::make_unique<ZstdCompressor>(blob);
      if (!zstd->begin()) return no_memory();
      return std::unique_ptr<Compressor>(std::move(zstd));
    }
    case Compression::kNone:
      break;
  }
  return std::unique_ptr<Compressor>(std::make_unique<PlainCompressor>(blob));
}

}  // namespace wherry::archive
