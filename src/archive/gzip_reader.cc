// Gzip members in a row, with zero padding behind them. Our own rather than libarchive's, which
// passes over checksums and lengths, so that a flipped bit would become part of an image.
#include <isa-l/igzip_lib.h>

#include "archive/decompressor.h"

namespace wherry::archive {
namespace {

const char* reason(int code) {
  switch (code) {
    case ISAL_INVALID_BLOCK:
      return "invalid block";
    case ISAL_INVALID_SYMBOL:
      return "invalid code";
    case ISAL_INVALID_LOOKBACK:
      return "invalid distance";
    case ISAL_INVALID_WRAPPER:
      return "invalid header";
    case ISAL_UNSUPPORTED_METHOD:
      return "unknown compression method";
    case ISAL_INCORRECT_CHECKSUM:
      return "incorrect checksum or length";
    default:
      return "unknown error";
  }
}

class GzipReader : public ByteStream {
 public:
  explicit GzipReader(Input& input) : input_(input) { begin_member(); }

  Result<size_t> read(std::span<char> into) override {
    state_.next_out = reinterpret_cast<uint8_t*>(into.data());
    state_.avail_out = static_cast<uint32_t>(into.size());
    for (;;) {
      if (state_.block_state == ISAL_BLOCK_FINISH) {
        TRY(bool more, next_member());
        if (!more) return into.size() - state_.avail_out;
      }
      int code = isal_inflate(&state_);
      if (code < 0) return damaged("gzip", reason(code));
      if (state_.avail_out == 0) return into.size();
      if (state_.block_state == ISAL_BLOCK_FINISH) continue;
      // What is decoded goes out before waiting for more.
      if (state_.avail_out < into.size()) return into.size() - state_.avail_out;
      if (state_.avail_in == 0) {
        TRY(bool more, fill());
        if (!more) return damaged("gzip", "it ends in the middle");
      }
    }
  }

 private:
  void begin_member() {
    uint8_t* out = state_.next_out;
    uint32_t out_size = state_.avail_out;
    uint8_t* in = state_.next_in;
    uint32_t in_size = state_.avail_in;
    isal_inflate_init(&state_);
    state_.crc_flag = ISAL_GZIP;
    state_.next_out = out;
    state_.avail_out = out_size;
    state_.next_in = in;
    state_.avail_in = in_size;
  }

  Result<bool> fill() {
    TRY(std::string_view bytes, input_.next());
    state_.next_in = const_cast<uint8_t*>(reinterpret_cast<const uint8_t*>(bytes.data()));
    state_.avail_in = static_cast<uint32_t>(bytes.size());
    return !bytes.empty();
  }

  // False when only padding follows.
  Result<bool> next_member() {
    for (;;) {
      if (state_.avail_in > 0) break;
      TRY(bool more, fill());
      if (!more) return false;
    }
    if (*state_.next_in == 0) {
      TRY_VOID(expect_padding(
          input_, {reinterpret_cast<const char*>(state_.next_in), state_.avail_in}, "gzip"));
      state_.avail_in = 0;
      return false;
    }
    begin_member();
    return true;
  }

  Input& input_;
  inflate_state state_{};
};

}  // namespace

Result<std::unique_ptr<ByteStream>> open_gzip_reader(Input& input) {
  return std::unique_ptr<ByteStream>(std::make_unique<GzipReader>(input));
}

}  // namespace wherry::archive
