// The two range headers of the protocol. Range asks for a part of a blob (RFC 9110, 14.2; one part
// only: of more the whole blob is sent, which the RFC allows). Content-Range of an upload is the
// distribution specification's own "<start>-<end>", with "bytes " before it accepted.
#pragma once

#include <cstdint>
#include <optional>
#include <string_view>
#include <variant>

namespace wherry::registry {

// Bytes first to last, both included.
struct ByteRange {
  uint64_t first = 0;
  uint64_t last = 0;
  uint64_t length() const { return last - first + 1; }
};

enum class RangeAnswer { kWhole, kUnsatisfiable };

// What to send of `size` bytes. Malformed headers are ignored, as the RFC wants.
std::variant<ByteRange, RangeAnswer> parse_range(std::string_view header, uint64_t size);

// nullopt when malformed.
std::optional<ByteRange> parse_content_range(std::string_view header);

}  // namespace wherry::registry
