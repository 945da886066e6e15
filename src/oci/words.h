// Words of a Dockerfile instruction: split at spaces, quotes and backslashes understood, variables
// replaced. The rules are those of the Dockerfile reference, "Environment replacement" and
// "Escape".
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::oci {

// "a 'b c' d=\"e f\"" -> {a, 'b c', d="e f"}: split only, quotes kept.
std::vector<std::string> split_words(std::string_view text);

// Quotes removed, \x unescaped, $NAME ${NAME} ${NAME:-word} ${NAME:+word} replaced from `env`
// ("NAME=value"; unknown: empty; none within single quotes). Another ${...} form, an open quote or
// brace, more than 1 MiB of result or more than 16 nested braces is kInvalidArgument.
Result<std::string> expand_word(std::string_view word, const std::vector<std::string>& env);

}  // namespace wherry::oci
