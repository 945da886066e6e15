// The parts of an instruction: flags, words, JSON lists, durations. Inside build/ only.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::build {

// At blanks only; quotes mean nothing (COPY, EXPOSE, FROM).
std::vector<std::string> blank_words(std::string_view text);
// At blanks that are neither quoted nor escaped; quotes and escapes stay (ENV, LABEL, ARG).
std::vector<std::string> quoted_words(std::string_view text, char escape);

// A JSON list of texts and nothing else; anything different is no list.
std::optional<std::vector<std::string>> json_texts(std::string_view text);

struct FlagSpec {
  enum class Kind { kText, kBool, kList } kind;
  std::string_view name;
};
struct Flag {
  std::string_view name;  // of the spec
  std::string value;      // "true" or "false" of a kBool
};
// Takes the words that begin with "--" off `rest`. Unknown, repeated and empty ones are refused,
// with the nearest name when there is one.
Result<std::vector<Flag>> take_flags(std::string_view& rest, std::span<const FlagSpec> specs,
                                     char escape);

// Go's durations, "1h2m3.5s", "100ms", "0": nanoseconds.
Result<int64_t> parse_duration(std::string_view text);

// " (did you mean x?)", or "" when nothing is near.
std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates);

}  // namespace wherry::build
