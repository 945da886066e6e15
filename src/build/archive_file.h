// Whether a file may be an archive that ADD unpacks: a look at its first block, no decompression.
// The name does not count. Whether a compressed one holds a tar is found out by wherry-unpack.
#pragma once

#include <string_view>

#include "base/result.h"

namespace wherry::build {

// gzip, bzip2, xz, zstd by their magic bytes; a plain tar by the checksum of its first header.
bool starts_like_archive(std::string_view block);
// Of an opened file, read with pread(2).
Result<bool> looks_like_archive(int fd);

}  // namespace wherry::build
