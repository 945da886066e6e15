// Small text tools: split, trim, numbers with whole-string checks, shell-like quoting, distances.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <vector>

namespace wherry {

// "a,b,,c" at ',' -> {"a","b","","c"}; an empty text gives one empty part. Views into `text`.
std::vector<std::string_view> split(std::string_view text, char separator);
// At the first separator: {"key","value"}; second is nullopt when there is none.
std::pair<std::string_view, std::optional<std::string_view>> split_once(std::string_view text,
                                                                        char separator);
std::string join(std::span<const std::string> parts, std::string_view separator);
// Without leading and trailing spaces, tabs, CR and LF.
std::string_view trim(std::string_view text);

// Whole-string decimal numbers: "12" but not "12x", "", "+1", " 1" or out of range.
std::optional<uint64_t> parse_u64(std::string_view text);
std::optional<int64_t> parse_i64(std::string_view text);
// As parse_u64, in octal.
std::optional<uint64_t> parse_octal(std::string_view text);

std::string to_hex(std::span<const unsigned char> bytes);
std::string to_lower(std::string_view text);
bool is_hex(std::string_view text);  // lower-case hex digits only, at least one

// "512m" -> 536870912. Units b, k, m, g, t, p (powers of 1024), optional "b"/"ib" behind, case
// ignored, fractions allowed as Docker does ("1.5g"). nullopt on anything else, negatives and
// overflow included.
std::optional<uint64_t> parse_byte_size(std::string_view text);

// Levenshtein distance, bounded by `limit` + 1: for "did you mean".
size_t edit_distance(std::string_view a, std::string_view b, size_t limit);
// The candidate nearest to `word` within a third of its length (at least 2 edits), or nullopt.
std::optional<std::string_view> nearest(std::string_view word,
                                        std::span<const std::string_view> candidates);

}  // namespace wherry
