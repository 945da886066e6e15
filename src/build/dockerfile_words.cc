#include "build/dockerfile_words.h"

#include <algorithm>
#include <cmath>
#include <nlohmann/json.hpp>

#include "base/text.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxFlags = 1000;

bool is_space(char c) {
  return c == ' ' || (c >= '\t' && c <= '\r');
}

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// Brackets outside of texts beyond the list's own: no list of texts, and not for the parser.
bool is_nested(std::string_view text) {
  bool in_text = false;
  int open = 0;
  for (size_t i = 0; i < text.size(); ++i) {
    char c = text[i];
    if (in_text && c == '\\') {
      ++i;
    } else if (c == '"') {
      in_text = !in_text;
    } else if (!in_text && (c == '[' || c == '{') && ++open > 1) {
      return true;
    }
  }
  return false;
}

// One "--name=value" with its quotes and escapes taken; false at the end of the flags.
bool next_flag(std::string_view& rest, char escape, std::string& flag) {
  while (!rest.empty() && is_space(rest.front())) rest.remove_prefix(1);
  if (!rest.starts_with("--")) return false;
  flag.clear();
  char quote = 0;
  size_t at = 0;
  for (; at < rest.size(); ++at) {
    char c = rest[at];
    if (quote == 0 && is_space(c)) break;
    if (c == escape && quote != '\'' && at + 1 < rest.size()) {
      flag += rest[++at];
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    } else {
      flag += c;
    }
  }
  rest.remove_prefix(std::min(at, rest.size()));
  return flag != "--";
}

Result<Flag> read_flag(std::string_view text, std::span<const FlagSpec> specs) {
  auto [name, value] = split_once(text.substr(2), '=');
  auto spec = std::ranges::find(specs, name, &FlagSpec::name);
  if (spec == specs.end()) {
    std::vector<std::string_view> names;
    for (const FlagSpec& known : specs) names.push_back(known.name);
    return invalid("unknown flag: --" + std::string(name.substr(0, 100)) +
                   did_you_mean(name, names));
  }
  Flag flag{spec->name, std::string(value.value_or(""))};
  if (spec->kind == FlagSpec::Kind::kBool) {
    flag.value = value ? to_lower(flag.value) : "true";
    if (flag.value != "true" && flag.value != "false")
      return invalid("expecting boolean value for flag " + std::string(name) +
                     ", not: " + flag.value);
  } else if (!value) {
    return invalid("missing a value on flag: " + std::string(name));
  }
  return flag;
}

}  // namespace

std::vector<std::string> blank_words(std::string_view text) {
  std::vector<std::string> words;
  size_t at = 0;
  while (at < text.size()) {
    if (is_space(text[at])) {
      ++at;
      continue;
    }
    size_t begin = at;
    while (at < text.size() && !is_space(text[at])) ++at;
    words.emplace_back(text.substr(begin, at - begin));
  }
  return words;
}

std::vector<std::string> quoted_words(std::string_view text, char escape) {
  std::vector<std::string> words;
  std::string word;
  char quote = 0;
  for (size_t at = 0; at < text.size(); ++at) {
    char c = text[at];
    if (quote == 0 && is_space(c)) {
      if (!word.empty()) words.push_back(std::move(word));
      word.clear();
      continue;
    }
    word += c;
    if (c == escape && quote != '\'' && at + 1 < text.size()) {
      word += text[++at];
    } else if (quote == 0 && (c == '\'' || c == '"')) {
      quote = c;
    } else if (c == quote) {
      quote = 0;
    }
  }
  if (!word.empty()) words.push_back(std::move(word));
  return words;
}

std::optional<std::vector<std::string>> json_texts(std::string_view text) {
  if (!text.starts_with('[') || is_nested(text)) return std::nullopt;
  auto list = nlohmann::json::parse(text, nullptr, /*allow_exceptions=*/false);
  if (list.is_discarded() || !list.is_array()) return std::nullopt;
  std::vector<std::string> texts;
  for (const auto& item : list) {
    if (!item.is_string()) return std::nullopt;
    texts.push_back(item.get<std::string>());
    if (texts.back().find('\0') != std::string::npos) return std::nullopt;
  }
  return texts;
}

Result<std::vector<Flag>> take_flags(std::string_view& rest, std::span<const FlagSpec> specs,
                                     char escape) {
  std::vector<Flag> flags;
  std::string text;
  while (next_flag(rest, escape, text)) {
    TRY(Flag flag, read_flag(text, specs));
    auto spec = std::ranges::find(specs, flag.name, &FlagSpec::name);
    if (spec->kind != FlagSpec::Kind::kList &&
        std::ranges::find(flags, flag.name, &Flag::name) != flags.end())
      return invalid("duplicate flag specified: " + std::string(flag.name));
    flags.push_back(std::move(flag));
    if (flags.size() > kMaxFlags)
      return Error(ErrorKind::kResourceExhausted, "more than 1000 flags");
  }
  rest = trim(rest);
  return flags;
}

Result<int64_t> parse_duration(std::string_view text) {
  struct Unit {
    std::string_view name;
    double nanoseconds;
  };
  constexpr Unit kUnits[] = {{"ns", 1},  {"us", 1e3}, {"µs", 1e3},  {"ms", 1e6},
                             {"s", 1e9}, {"m", 60e9}, {"h", 3600e9}};
  Error bad = invalid("invalid duration '" + std::string(text.substr(0, 100)) + "'")
                  .set_hint("write 30s, 1m30s or 500ms");
  if (text == "0") return 0;
  std::string_view rest = text;
  double total = 0;
  if (rest.empty()) return bad;
  while (!rest.empty()) {
    size_t digits = std::min(rest.find_first_not_of("0123456789."), rest.size());
    auto [whole, fraction] = split_once(rest.substr(0, digits), '.');
    auto whole_number = whole.empty() && fraction ? std::optional<uint64_t>(0) : parse_u64(whole);
    if (!whole_number || digits > 18) return bad;
    double number = static_cast<double>(*whole_number);
    if (fraction && !fraction->empty()) {
      auto part = parse_u64(*fraction);
      if (!part) return bad;
      number += static_cast<double>(*part) / std::pow(10.0, static_cast<double>(fraction->size()));
    } else if (whole.empty()) {
      return bad;
    }
    rest.remove_prefix(digits);
    size_t letters = std::min(rest.find_first_of("0123456789."), rest.size());
    const auto* unit = std::ranges::find(kUnits, rest.substr(0, letters), &Unit::name);
    if (unit == std::end(kUnits)) return bad;
    total += number * unit->nanoseconds;
    rest.remove_prefix(letters);
  }
  if (total > 9.2e18) return bad;
  return std::llround(total);
}

std::string did_you_mean(std::string_view word, std::span<const std::string_view> candidates) {
  if (word.empty()) return {};
  auto near = nearest(word.substr(0, 100), candidates);
  return near ? " (did you mean " + std::string(*near) + "?)" : std::string();
}

}  // namespace wherry::build
