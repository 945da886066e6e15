// Variables and quotes in a Dockerfile's words: pure functions over a lookup.
//
// $NAME, ${NAME}, ${NAME:-word} :+ :? - + ?, ${NAME#pattern} ## % %%, ${NAME/pattern/text} //;
// 'quotes' keep everything, "quotes" keep all but $ and the escapes of " $ and the escape
// character, outside of quotes the escape character takes the meaning of what follows.
// Source: Dockerfile reference, "Environment replacement" and "Escape". Limits: 1 MiB of result, 16
// nested braces. Errors are kInvalidArgument and quote the word.
#pragma once

#include <functional>
#include <optional>
#include <set>
#include <string>
#include <string_view>
#include <vector>

#include "build/dockerfile.h"

namespace wherry::build {

struct Expander {
  // The value of a variable; nullopt: unset (which expands to nothing).
  std::function<std::optional<std::string>(std::string_view name)> lookup;
  char escape = '\\';
  std::set<std::string>* unset = nullptr;  // gets the names that were asked for in vain
};

// From "NAME=value" texts; the last of a name counts. Keeps a reference to `env`.
Expander env_expander(const std::vector<std::string>& env, char escape = '\\');

// One word: quotes removed, blanks kept.
Result<std::string> expand_word(std::string_view word, const Expander& expander);
// The word split at blanks that are not quoted, values of variables included ("$PORTS" -> several).
Result<std::vector<std::string>> expand_words(std::string_view word, const Expander& expander);
// A heredoc's body: quotes are text, the escape character takes the meaning of what follows.
Result<std::string> expand_text(std::string_view text, const Expander& expander);

// A --mount's text; every value but `from` is expanded. Errors as BuildKit words them.
Result<Mount> expand_mount(const RunMount& mount, const Expander& expander);

}  // namespace wherry::build
