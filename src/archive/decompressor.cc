#include "archive/decompressor.h"

#include <algorithm>
#include <cstring>

namespace wherry::archive {
namespace {

class PlainReader : public ByteStream {
 public:
  explicit PlainReader(Input& input) : input_(input) {}
  Result<size_t> read(std::span<char> into) override {
    if (rest_.empty()) {
      TRY(rest_, input_.next());
    }
    size_t size = std::min(rest_.size(), into.size());
    memcpy(into.data(), rest_.data(), size);
    rest_.remove_prefix(size);
    return size;
  }

 private:
  Input& input_;
  std::string_view rest_;
};

// Frames that hold no data, which zstd:chunked may begin with.
bool is_skippable_frame(std::string_view start) {
  return start.size() >= 4 && (static_cast<unsigned char>(start[0]) & 0xf0) == 0x50 &&
         start.substr(1, 3) == "\x2a\x4d\x18";
}

}  // namespace

Encoding encoding_of(std::string_view start) {
  if (start.starts_with("\x1f\x8b")) return Encoding::kGzip;
  if (start.starts_with("\x28\xb5\x2f\xfd") || is_skippable_frame(start)) return Encoding::kZstd;
  if (start.starts_with("BZh")) return Encoding::kBzip2;
  if (start.starts_with(std::string_view("\xfd"
                                         "7zXZ\0",
                                         6)))
    return Encoding::kXz;
  return Encoding::kPlain;
}

Result<std::unique_ptr<ByteStream>> open_decompressor(Encoding encoding, Input& input) {
  switch (encoding) {
    case Encoding::kGzip:
      return open_gzip_reader(input);
    case Encoding::kZstd:
      return open_zstd_reader(input);
    case Encoding::kBzip2:
    case Encoding::kXz:
      return open_filter_reader(input);
    case Encoding::kPlain:
      break;
  }
  return std::unique_ptr<ByteStream>(std::make_unique<PlainReader>(input));
}

Error damaged(std::string_view format, std::string_view why) {
  return Error(ErrorKind::kCorrupt,
               "damaged " + std::string(format) + " data: " + std::string(why));
}

Result<void> expect_padding(Input& input, std::string_view rest, std::string_view format) {
  for (;;) {
    if (rest.find_first_not_of('\0') != rest.npos) return damaged(format, "garbage behind its end");
    TRY(rest, input.next());
    if (rest.empty()) return {};
  }
}

}  // namespace wherry::archive
