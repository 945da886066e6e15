// One entry of a tar as bytes: its ustar header, and a PAX header before it where ustar has no
// room.
//
// Pure: equal entries give equal bytes (docs/formats/layer-tar.md). Source: POSIX.1-2017, pax,
// "ustar Interchange Format" and "pax Extended Header".
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <ctime>
#include <string>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry::archive {

inline constexpr size_t kTarBlock = 512;

struct TarEntry {
  std::string path;  // of a directory: with a slash at its end
  char type =
      '0';  // '0' file, '1' hard link, '2' symlink, '3' '4' devices, '5' directory, '6' fifo
  mode_t mode = 0;  // permission bits with setuid, setgid, sticky
  uid_t uid = 0;
  gid_t gid = 0;
  timespec mtime{};   // before 1970: whole seconds only
  uint64_t size = 0;  // of a file's data, which follows, padded with zeros to whole blocks
  std::string link;   // target of '1' and '2'
  unsigned major = 0, minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;  // sorted by name
};

// An attribute's name with '=' cannot be written and is kUnsupported.
Result<std::string> tar_header(const TarEntry& entry);
// The zeros that follow data of this size.
constexpr size_t tar_padding(uint64_t size) {
  return static_cast<size_t>((kTarBlock - size % kTarBlock) % kTarBlock);
}

}  // namespace wherry::archive
