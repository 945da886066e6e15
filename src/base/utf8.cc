#include "base/utf8.h"

namespace wherry {
namespace {

// U+10FF80 to U+10FFFF: f4 8f be 80 to f4 8f bf bf.
constexpr unsigned char kFirst = 0xf4;
constexpr unsigned char kSecond = 0x8f;
constexpr std::string_view kPrefix = "\xf4\x8f";

unsigned byte_at(std::string_view text, size_t index) {
  return index < text.size() ? static_cast<unsigned char>(text[index]) : 0u;
}

size_t length_by_lead(unsigned lead) {
  if (lead < 0x80) return 1;
  if (lead < 0xc2 || lead > 0xf4) return 0;
  return lead < 0xe0 ? 2 : lead < 0xf0 ? 3 : 4;
}

bool is_carrier(std::string_view character) {
  return character.size() == 4 && byte_at(character, 0) == kFirst &&
         byte_at(character, 1) == kSecond && byte_at(character, 2) >= 0xbe;
}

void append_carrier(std::string& out, unsigned byte) {
  out += kPrefix;
  out += static_cast<char>(byte < 0xc0 ? 0xbe : 0xbf);
  out += static_cast<char>(0x80 | (byte & 0x3f));
}

}  // namespace

size_t utf8_length(std::string_view text) {
  unsigned lead = byte_at(text, 0);
  unsigned second = byte_at(text, 1);
  if (lead == 0xe0 && second < 0xa0) return 0;
  if (lead == 0xed && second > 0x9f) return 0;
  if (lead == 0xf0 && second < 0x90) return 0;
  if (lead == 0xf4 && second > 0x8f) return 0;
  size_t length = length_by_lead(lead);
  for (size_t k = 1; k < length; ++k)
    if ((byte_at(text, k) & 0xc0) != 0x80) return 0;
  return length;
}

bool is_utf8(std::string_view text) {
  for (size_t i = 0; i < text.size();) {
    size_t length = utf8_length(text.substr(i));
    if (length == 0) return false;
    i += length;
  }
  return true;
}

bool needs_carrying(std::string_view bytes) {
  return has_carried(bytes) || !is_utf8(bytes);
}

bool has_carried(std::string_view text) {
  for (size_t at = text.find(kPrefix); at != text.npos; at = text.find(kPrefix, at + 1))
    if (is_carrier(text.substr(at, 4))) return true;
  return false;
}

std::string to_carried(std::string_view bytes) {
  std::string out;
  for (size_t i = 0; i < bytes.size();) {
    size_t length = utf8_length(bytes.substr(i));
    if (length > 0 && !is_carrier(bytes.substr(i, length))) {
      out += bytes.substr(i, length);
      i += length;
    } else if (length == 0) {
      append_carrier(out, byte_at(bytes, i++));
    } else {
      for (size_t end = i + length; i < end; ++i) append_carrier(out, byte_at(bytes, i));
    }
  }
  return out;
}

std::string from_carried(std::string_view text) {
  std::string out;
  for (size_t i = 0; i < text.size();) {
    std::string_view character = text.substr(i, 4);
    if (is_carrier(character)) {
      out += static_cast<char>((byte_at(character, 2) == 0xbe ? 0x80 : 0xc0) |
                               (byte_at(character, 3) & 0x3f));
      i += 4;
    } else {
      out += text[i++];
    }
  }
  return out;
}

}  // namespace wherry
