// TarWriter: our own files as a ustar stream, for image archives. Inside store/ only.
//
// Regular files and directories with short names (at most 100 bytes), owner 0, time 0, so that the
// same input gives the same bytes. Sizes beyond ustar's 8 GiB are in GNU's base-256 form. Source:
// POSIX.1-2017, pax, "ustar Interchange Format".
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::store {

class TarWriter {
 public:
  explicit TarWriter(int out) : out_(out) {}

  Result<void> directory(const std::string& name);  // with its slash
  Result<void> file(const std::string& name, std::string_view content);
  // From the beginning of `fd`, which must have at least `size` bytes (kCorrupt).
  Result<void> file_of(const std::string& name, int fd, uint64_t size);
  Result<void> end();

 private:
  Result<void> header(const std::string& name, char type, uint64_t size);
  Result<void> padding(uint64_t size);

  int out_;
};

}  // namespace wherry::store
