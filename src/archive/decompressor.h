// Taking the compression off an archive: gzip by ISA-L, zstd by libzstd, bzip2 and xz by
// libarchive, or none. Only inside wherry-unpack.
//
// Each reads its input to the end: checksums and lengths are verified where the format has them, a
// stream that ends in the middle and bytes behind its end (but for zeros behind gzip, bzip2 and xz)
// are kCorrupt. Sources: RFC 1952, RFC 8878.
#pragma once

#include <memory>

#include "archive/byte_stream.h"
#include "archive/input.h"

namespace wherry::archive {

enum class Encoding { kPlain, kGzip, kZstd, kBzip2, kXz };

// From the first bytes; kMagicSize are enough.
inline constexpr size_t kMagicSize = 6;
Encoding encoding_of(std::string_view start);

// `input` is borrowed, nothing taken from it yet.
Result<std::unique_ptr<ByteStream>> open_decompressor(Encoding encoding, Input& input);

// The parts.
Result<std::unique_ptr<ByteStream>> open_gzip_reader(Input& input);
Result<std::unique_ptr<ByteStream>> open_zstd_reader(Input& input);
// bzip2 and xz.
Result<std::unique_ptr<ByteStream>> open_filter_reader(Input& input);

Error damaged(std::string_view format, std::string_view why);
// Reads the rest of `input`, of which `rest` was taken already: only zero bytes may be left.
Result<void> expect_padding(Input& input, std::string_view rest, std::string_view format);

}  // namespace wherry::archive
