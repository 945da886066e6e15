#include "build/wildcard.h"

#include <cstdint>

namespace wherry::build {
namespace {

// The character at the start of a text that need not be UTF-8: a bad byte is a character by itself
// that equals no other (as in Go, all of them are U+FFFD there; here they keep their value).
struct Character {
  uint32_t code = 0;
  size_t bytes = 0;
};

constexpr uint32_t kBadByte = 0x110000;  // plus the byte: beyond Unicode

Character character_at(std::string_view text) {
  auto byte = [&](size_t i) { return static_cast<unsigned char>(text[i]); };
  uint32_t first = byte(0);
  if (first < 0x80) return {first, 1};
  size_t size = first >= 0xf0 && first < 0xf5 ? 4 : first >= 0xe0 ? 3 : first >= 0xc2 ? 2 : 0;
  if (first >= 0xf5 || size == 0 || text.size() < size) return {kBadByte + first, 1};
  uint32_t code = first & (0xffu >> (size + 1));
  for (size_t i = 1; i < size; ++i) {
    if ((byte(i) & 0xc0) != 0x80) return {kBadByte + first, 1};
    code = code << 6 | (byte(i) & 0x3fu);
  }
  bool overlong = (size == 3 && code < 0x800) || (size == 4 && code < 0x10000);
  if (overlong || (code >= 0xd800 && code < 0xe000) || code > 0x10ffff)
    return {kBadByte + first, 1};
  return {code, size};
}

// One end of a range inside "[...]", escapes resolved; nullopt where the pattern is malformed.
std::optional<uint32_t> take_class_character(std::string_view& pattern) {
  if (pattern.empty() || pattern[0] == '-' || pattern[0] == ']') return std::nullopt;
  if (pattern[0] == '\\') pattern.remove_prefix(1);
  if (pattern.empty()) return std::nullopt;
  Character character = character_at(pattern);
  pattern.remove_prefix(character.bytes);
  return character.code;
}

// After "[": whether `code` is in the class; `pattern` is left behind the "]".
std::optional<bool> take_class(std::string_view& pattern, uint32_t code) {
  bool negated = pattern.starts_with('^');
  if (negated) pattern.remove_prefix(1);
  bool inside = false;
  for (bool first = true; first || !pattern.starts_with(']'); first = false) {
    std::optional<uint32_t> low = take_class_character(pattern);
    if (!low) return std::nullopt;
    std::optional<uint32_t> high = low;
    if (pattern.starts_with('-')) {
      pattern.remove_prefix(1);
      high = take_class_character(pattern);
      if (!high) return std::nullopt;
    }
    inside = inside || (*low <= code && code <= *high);
    if (pattern.empty()) return std::nullopt;
  }
  pattern.remove_prefix(1);
  return inside != negated;
}

// One element that is not "*" against the start of `name`; both are left behind it. nullopt: no
// match, or malformed.
bool take_one(std::string_view& pattern, std::string_view& name) {
  if (name.empty()) return false;
  Character character = character_at(name);
  char kind = pattern[0];
  if (kind == '?' || kind == '[') {
    if (character.code == '/') return false;
    pattern.remove_prefix(1);
    name.remove_prefix(character.bytes);
    return kind == '?' || take_class(pattern, character.code).value_or(false);
  }
  if (kind == '\\') pattern.remove_prefix(1);
  if (pattern.empty() || pattern[0] != name[0]) return false;
  pattern.remove_prefix(1);
  name.remove_prefix(1);
  return true;
}

}  // namespace

bool has_wildcard(std::string_view text) {
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\') {
      ++i;
    } else if (text[i] == '*' || text[i] == '?' || text[i] == '[') {
      return true;
    }
  }
  return false;
}

std::string unescape(std::string_view text) {
  std::string plain;
  for (size_t i = 0; i < text.size(); ++i) {
    if (text[i] == '\\' && i + 1 < text.size()) ++i;
    plain += text[i];
  }
  return plain;
}

Result<void> check_wildcard(std::string_view pattern) {
  Error malformed(ErrorKind::kInvalidArgument,
                  "invalid pattern '" + std::string(pattern) + "': syntax error in pattern");
  for (std::string_view rest = pattern; !rest.empty();) {
    char kind = rest[0];
    rest.remove_prefix(1);
    if (kind == '[' && !take_class(rest, 0)) return malformed;
    if (kind != '\\') continue;
    if (rest.empty()) return malformed;
    rest.remove_prefix(1);
  }
  return {};
}

bool matches_wildcard(std::string_view pattern, std::string_view name) {
  if (!check_wildcard(pattern)) return false;
  // Where to go on when what follows the last "*" does not fit: the star takes one byte more. One
  // star to come back to is enough, so the time is at most pattern times name.
  std::optional<std::string_view> after_star;
  std::string_view retry;
  while (!pattern.empty() || !name.empty()) {
    if (pattern.starts_with('*')) {
      pattern.remove_prefix(1);
      after_star = pattern;
      retry = name;
      continue;
    }
    if (!pattern.empty() && take_one(pattern, name)) continue;
    if (!after_star || retry.empty() || retry[0] == '/') return false;
    retry.remove_prefix(1);
    pattern = *after_star;
    name = retry;
  }
  return true;
}

}  // namespace wherry::build
