// Gzip from a descriptor, each member's checksum and length verified: libarchive's own filter
// passes over them, so that a flipped bit would become part of an image. Only inside wherry-unpack.
//
// Zero bytes behind the last member are padding; anything else there is refused. Source: RFC 1952.
#pragma once

#include <zlib.h>

#include <memory>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::archive {

class GzipReader {
 public:
  // `start`: bytes that were already read from `fd`, which stays the caller's.
  static Result<std::unique_ptr<GzipReader>> open(int fd, std::string start);
  static bool recognizes(std::string_view start) { return start.starts_with("\x1f\x8b"); }
  GzipReader(const GzipReader&) = delete;
  GzipReader& operator=(const GzipReader&) = delete;
  ~GzipReader();

  // The next uncompressed bytes, valid until the next call; none at the end.
  Result<std::string_view> next();

 private:
  GzipReader(int fd, std::string start);
  // False at the end of the input.
  Result<bool> fill();
  Result<bool> begin_member();
  Error damaged(const char* why) const;

  int fd_;
  z_stream stream_{};
  std::string input_;
  std::string output_;
  bool between_members_ = false;
};

}  // namespace wherry::archive
