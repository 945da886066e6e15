// The wildcards of COPY's and ADD's sources: Go's filepath.Match, one path component at a time.
//
//   *      any bytes but "/"          [a-z]  one of these       \x  x itself
//   ?      one character but "/"      [^a-z] none of these      **  (a whole component, --parents
//                                                                   only) any number of components
// Not .dockerignore's rules (build/ignore.h). Source: Go's path/filepath documentation, "Match".
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::build {

// Whether there is an unescaped "*", "?" or "[".
bool has_wildcard(std::string_view text);
// Without the escapes, for a text that has no wildcard.
std::string unescape(std::string_view text);
// kInvalidArgument for "[", "[]a]", "[a-]", a lone "\": "syntax error in pattern".
Result<void> check_wildcard(std::string_view pattern);
// Whether the whole of `name` matches. A malformed pattern matches nothing.
bool matches_wildcard(std::string_view pattern, std::string_view name);

}  // namespace wherry::build
