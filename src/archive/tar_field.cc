#include "archive/tar_field.h"

namespace wherry::archive {
namespace {

std::optional<int64_t> parse_binary(std::string_view bytes) {
  // Two's complement without the first bit, which is the mark.
  bool negative = (static_cast<unsigned char>(bytes[0]) & 0x40) != 0;
  uint64_t value = negative ? ~uint64_t{0} : 0;
  for (size_t i = 0; i < bytes.size(); ++i) {
    auto byte = static_cast<unsigned char>(bytes[i]);
    if (i == 0) byte = negative ? byte | 0x80 : byte & 0x7f;
    // What is shifted out, and the sign behind it, must be sign only.
    uint64_t top = value >> 55;
    if (top != (negative ? 0x1ff : 0)) return std::nullopt;
    value = value << 8 | byte;
  }
  return static_cast<int64_t>(value);
}

}  // namespace

std::string_view field_text(std::string_view header, TarField field) {
  std::string_view bytes = field_bytes(header, field);
  return bytes.substr(0, bytes.find('\0'));
}

std::optional<int64_t> parse_tar_number(std::string_view bytes) {
  if (!bytes.empty() && (static_cast<unsigned char>(bytes[0]) & 0x80) != 0)
    return parse_binary(bytes);
  constexpr std::string_view kBlank(" \0", 2);
  size_t first = bytes.find_first_not_of(kBlank);
  if (first == bytes.npos) return 0;
  bytes.remove_prefix(first);
  // What follows a terminating zero byte is nobody's.
  bytes = bytes.substr(0, bytes.find('\0'));
  bytes = bytes.substr(0, bytes.find_last_not_of(' ') + 1);
  int64_t value = 0;
  for (char c : bytes) {
    if (c < '0' || c > '7' || value > INT64_MAX >> 3) return std::nullopt;
    value = value << 3 | (c - '0');
  }
  return value;
}

bool has_right_checksum(std::string_view header) {
  std::optional<int64_t> wanted = parse_tar_number(field_bytes(header, tar_field::kChecksum));
  if (!wanted) return false;
  int64_t as_unsigned = 0, as_signed = 0;
  for (size_t i = 0; i < header.size(); ++i) {
    size_t in_field = i - tar_field::kChecksum.offset;
    char c = in_field < tar_field::kChecksum.size ? ' ' : header[i];
    as_unsigned += static_cast<unsigned char>(c);
    as_signed += static_cast<signed char>(c);
  }
  return *wanted == as_unsigned || *wanted == as_signed;
}

}  // namespace wherry::archive
