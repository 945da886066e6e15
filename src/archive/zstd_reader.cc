// Zstd frames in a row, skippable ones among them. A frame without the optional checksum has none
// to verify.
#include <zstd.h>

#include <string>

#include "archive/decompressor.h"

namespace wherry::archive {
namespace {

// A frame may ask for a window this large: 128 MiB, what zstd's own tools accept without a flag.
constexpr int kMaxWindowLog = 27;

class ZstdReader : public ByteStream {
 public:
  explicit ZstdReader(Input& input) : input_(input), stream_(ZSTD_createDCtx(), &ZSTD_freeDCtx) {}
  bool begin() {
    return stream_ != nullptr && ZSTD_isError(ZSTD_DCtx_setParameter(
                                     stream_.get(), ZSTD_d_windowLogMax, kMaxWindowLog)) == 0;
  }

  Result<size_t> read(std::span<char> into) override {
    ZSTD_outBuffer out{into.data(), into.size(), 0};
    for (;;) {
      if (in_.pos == in_.size && !flushing_) {
        if (out.pos > 0) return out.pos;
        TRY(std::string_view bytes, input_.next());
        if (bytes.empty()) {
          if (!between_frames_) return damaged("zstd", "it ends in the middle");
          return size_t{0};
        }
        in_ = {bytes.data(), bytes.size(), 0};
      }
      size_t left = ZSTD_decompressStream(stream_.get(), &out, &in_);
      if (ZSTD_isError(left) != 0) return damaged("zstd", ZSTD_getErrorName(left));
      between_frames_ = left == 0;
      // A full buffer may leave more inside.
      flushing_ = out.pos == out.size && !between_frames_;
      if (out.pos == out.size) return out.pos;
    }
  }

 private:
  Input& input_;
  std::unique_ptr<ZSTD_DCtx, size_t (*)(ZSTD_DCtx*)> stream_;
  ZSTD_inBuffer in_{};
  bool between_frames_ = false;
  bool flushing_ = false;
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_zstd_reader(Input& input) {
  auto reader = std::make_unique<ZstdReader>(input);
  if (!reader->begin())
    return Error(ErrorKind::kResourceExhausted, "cannot make a zstd reader: no memory");
  return std::unique_ptr<ByteStream>(std::move(reader));
}

}  // namespace wherry::archive
