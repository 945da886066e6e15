#include "build/pattern.h"

#include <algorithm>
#include <cstdint>

namespace wherry::build {
namespace {

constexpr size_t kMaxPattern = 256;

bool inside_character(char c) {
  return (static_cast<unsigned char>(c) & 0xC0) == 0x80;
}

// Which tokens may come next, a bit each; the last bit is "matched".
class States {
 public:
  explicit States(size_t count) : words_((count + 64) / 64) {}
  void set(size_t i) { words_[i / 64] |= uint64_t{1} << (i % 64); }
  bool has(size_t i) const { return (words_[i / 64] >> (i % 64) & 1) != 0; }
  bool none() const {
    return std::ranges::all_of(words_, [](uint64_t word) { return word == 0; });
  }

 private:
  std::vector<uint64_t> words_;
};

}  // namespace

Result<Pattern> Pattern::compile(std::string_view text) {
  Pattern pattern;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (c == '*') {
      pattern.tokens_.push_back({Token::Kind::kStar});
      continue;
    }
    if (c == '?') {
      pattern.tokens_.push_back({Token::Kind::kAny});
      continue;
    }
    if (c == '\\') {
      char next = i + 1 < text.size() ? text[i + 1] : '\0';
      if (next == '\0' || std::string_view("*?\\}/").find(next) == std::string_view::npos)
        return Error(ErrorKind::kInvalidArgument, "invalid pattern (" + std::string(text) +
                                                      ") in substitution: invalid escape '\\" +
                                                      (next == '\0' ? "" : std::string(1, next)) +
                                                      "'");
      c = next;
      ++i;
    }
    pattern.tokens_.push_back({Token::Kind::kChar, c});
  }
  if (pattern.tokens_.size() > kMaxPattern)
    return Error(ErrorKind::kInvalidArgument,
                 "a pattern in a substitution is longer than 256 characters");
  return pattern;
}

std::optional<size_t> Pattern::prefix(std::string_view text, bool longest) const {
  const size_t end = tokens_.size();
  // A star may be passed without taking anything.
  auto close = [&](States& states) {
    for (size_t i = 0; i < end; ++i)
      if (states.has(i) && tokens_[i].kind == Token::Kind::kStar) states.set(i + 1);
  };
  States states(end);
  states.set(0);
  close(states);
  std::optional<size_t> found;
  for (size_t at = 0;; ++at) {
    if (states.has(end)) {
      found = at;
      if (!longest) return found;
    }
    if (at == text.size() || states.none()) return found;
    States next(end);
    for (size_t i = 0; i < end; ++i) {
      if (!states.has(i)) continue;
      const Token& token = tokens_[i];
      if (token.kind == Token::Kind::kStar) {
        next.set(i);
      } else if (token.kind == Token::Kind::kChar) {
        if (token.c == text[at]) next.set(i + 1);
      } else {
        // '?' takes a whole character: it stays until the character's last byte.
        bool last = at + 1 == text.size() || !inside_character(text[at + 1]);
        next.set(last ? i + 1 : i);
      }
    }
    close(next);
    states = next;
  }
}

std::optional<size_t> Pattern::suffix(std::string_view text, bool longest) const {
  std::vector<bool> starts = match_starts(text);
  for (size_t i = 0; i <= text.size(); ++i) {
    size_t start = longest ? i : text.size() - i;
    if (starts[start]) return text.size() - start;
  }
  return std::nullopt;
}

// For each place of the text whether the pattern matches all from there to the end.
std::vector<bool> Pattern::match_starts(std::string_view text) const {
  const size_t end = tokens_.size();
  // row[i]: tokens from i on match the text from `at` on.
  std::vector<bool> row(end + 1), below(end + 1);
  std::vector<bool> starts(text.size() + 1);
  for (size_t at = text.size() + 1; at-- > 0;) {
    row.assign(end + 1, false);
    row[end] = at == text.size();
    for (size_t i = end; i-- > 0;) {
      const Token& token = tokens_[i];
      if (token.kind == Token::Kind::kStar) {
        row[i] = row[i + 1] || (at < text.size() && below[i]);
      } else if (at == text.size()) {
        row[i] = false;
      } else if (token.kind == Token::Kind::kChar) {
        row[i] = token.c == text[at] && below[i + 1];
      } else {
        bool last = at + 1 == text.size() || !inside_character(text[at + 1]);
        row[i] = last ? below[i + 1] : below[i];
      }
    }
    starts[at] = row[0] && (at == text.size() || !inside_character(text[at]));
    std::swap(row, below);
  }
  return starts;
}

std::string Pattern::replaced(std::string_view text, std::string_view by, bool all,
                              size_t limit) const {
  if (tokens_.empty()) return std::string(text);
  // Where a match begins, so that places without one cost nothing: the pattern with a star behind
  // it, asked from the end.
  Pattern open = *this;
  open.tokens_.push_back({Token::Kind::kStar});
  std::vector<bool> starts = open.match_starts(text);
  std::string out;
  size_t at = 0;
  while (at <= text.size() && out.size() <= limit) {
    std::optional<size_t> length;
    if (starts[at]) length = prefix(text.substr(at), /*longest=*/true);
    if (length && (*length > 0 || text.empty())) {
      out += by;
      at += *length;
      if (!all) break;
      if (*length == 0) break;
      continue;
    }
    if (at == text.size()) break;
    out += text[at++];
  }
  return out += text.substr(std::min(at, text.size()));
}

}  // namespace wherry::build
