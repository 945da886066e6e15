// The numbers of records: varints (seven bits to a byte, the lowest first, the top bit set on all
// but the last byte, never longer than needed), and fixed little-endian ones.
#pragma once

#include <bit>
#include <cstdint>
#include <cstring>
#include <string>
#include <string_view>

namespace wherry::tree {

template <typename T>
T to_little(T value) {
  if constexpr (std::endian::native == std::endian::big) value = std::byteswap(value);
  return value;
}

template <typename T>
void append_fixed(std::string& out, T value) {
  value = to_little(value);
  out.append(reinterpret_cast<const char*>(&value), sizeof value);
}

template <typename T>
T load_fixed(const char* at) {
  T value;
  std::memcpy(&value, at, sizeof value);
  return to_little(value);
}

inline void append_varint(std::string& out, uint64_t value) {
  char bytes[10];
  size_t count = 0;
  for (; value >= 0x80; value >>= 7) bytes[count++] = static_cast<char>(value | 0x80);
  bytes[count++] = static_cast<char>(value);
  out.append(bytes, count);
}

// Differences of either sign as small numbers: 0, -1, 1, -2, ... are 0, 1, 2, 3, ...
inline uint64_t zigzag(int64_t value) {
  return (static_cast<uint64_t>(value) << 1) ^ static_cast<uint64_t>(value >> 63);
}
inline int64_t unzigzag(uint64_t value) {
  return static_cast<int64_t>((value >> 1) ^ (~(value & 1) + 1));
}

// A cursor that never leaves its bytes; the first thing that is wrong makes all that follows wrong.
class Cursor {
 public:
  Cursor(std::string_view bytes, size_t at) : bytes_(bytes), at_(at) {}

  bool good() const { return good_; }
  size_t at() const { return at_; }
  void fail() { good_ = false; }

  uint8_t byte() {
    if (!good_ || at_ >= bytes_.size()) return good_ = false, 0;
    return static_cast<uint8_t>(bytes_[at_++]);
  }

  // A varint of at most `limit`; more, or one that is longer than it need be, is wrong.
  uint64_t varint(uint64_t limit) {
    uint64_t value = 0;
    for (unsigned shift = 0; shift < 64; shift += 7) {
      const uint8_t part = byte();
      if (shift == 63 && part > 1) break;
      value |= static_cast<uint64_t>(part & 0x7f) << shift;
      if (part & 0x80) continue;
      if ((part == 0 && shift > 0) || value > limit) break;
      return good_ ? value : 0;
    }
    good_ = false;
    return 0;
  }

  std::string_view take(size_t count) {
    if (!good_ || count > bytes_.size() - at_) return good_ = false, std::string_view();
    const std::string_view taken = bytes_.substr(at_, count);
    at_ += count;
    return taken;
  }

 private:
  std::string_view bytes_;
  size_t at_;
  bool good_ = true;
};

}  // namespace wherry::tree
