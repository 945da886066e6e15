// The patterns of ${name#pattern} and its kin: `*`, `?`, and `\` before one of these.
// Not the patterns of COPY or .dockerignore. Every operation is linear in the text times the
// pattern, whatever they are.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::build {

class Pattern {
 public:
  // At most 256 characters. kInvalidArgument: an escape that means nothing.
  static Result<Pattern> compile(std::string_view text);

  // The shortest or longest beginning (end) of `text` that matches, as its length.
  std::optional<size_t> prefix(std::string_view text, bool longest) const;
  std::optional<size_t> suffix(std::string_view text, bool longest) const;
  // The longest match at the leftmost place, or all such, replaced. Stops growing beyond `limit`.
  std::string replaced(std::string_view text, std::string_view by, bool all, size_t limit) const;

 private:
  struct Token {
    enum class Kind { kChar, kAny, kStar } kind;
    char c = 0;
  };
  std::vector<bool> match_starts(std::string_view text) const;

  std::vector<Token> tokens_;
};

}  // namespace wherry::build
