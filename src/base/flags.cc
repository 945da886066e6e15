#include "base/flags.h"

#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"

namespace wherry {
namespace {

std::string spelled(const Flag& flag) {
  return flag.letter != 0 ? fmt::format("-{}, --{}", flag.letter, flag.name)
                          : fmt::format("--{}", flag.name);
}

Error bad_value(const Flag& flag, std::string_view value, std::string_view why) {
  return Error(
      ErrorKind::kInvalidArgument,
      fmt::format("invalid argument \"{}\" for \"{}\" flag: {}", value, spelled(flag), why));
}

Result<void> check_value(const Flag& flag, std::string_view value) {
  if (value.find('\0') != value.npos) return bad_value(flag, "...", "it contains a NUL byte");
  switch (flag.kind) {
    case FlagKind::kBool:
      if (!parse_boolean(value)) return bad_value(flag, value, "not a boolean; use true or false");
      break;
    case FlagKind::kInt:
      if (!parse_i64(value)) return bad_value(flag, value, "not a whole number");
      break;
    case FlagKind::kBytes:
      if (value != "-1" && !parse_byte_size(value))
        return bad_value(flag, value, fmt::format("invalid size: '{}'", value));
      break;
    case FlagKind::kDecimal:
      if (!parse_billionths(value))
        return bad_value(flag, value,
                         fmt::format("failed to parse {} as a decimal number with at most nine "
                                     "digits after the point",
                                     value));
      break;
    case FlagKind::kString:
    case FlagKind::kList:
      break;
  }
  return {};
}

std::string_view value_word(FlagKind kind) {
  switch (kind) {
    case FlagKind::kBool:
      return "";
    case FlagKind::kString:
      return "string";
    case FlagKind::kList:
      return "list";
    case FlagKind::kInt:
      return "int";
    case FlagKind::kBytes:
      return "bytes";
    case FlagKind::kDecimal:
      return "decimal";
  }
  return "";
}

// One walk over the words of a command.
class Walk {
 public:
  Walk(std::span<const std::string> words, const FlagTable& table) : words_(words), table_(table) {}

  using Values = std::vector<std::pair<const Flag*, std::string>>;

  Result<void> run(ParsedFlags& out, Values& values) {
    for (; at_ < words_.size(); ++at_) {
      std::string_view word = words_[at_];
      if (word == "--") {
        ++at_;
        break;
      }
      if (word.starts_with("--")) {
        if (word == "--help" || word == "--help=true") {
          out.help = true;
          continue;
        }
        TRY_VOID(long_flag(word.substr(2), values));
      } else if (word.size() > 1 && word[0] == '-') {
        TRY_VOID(short_flags(word.substr(1), values, out));
      } else {
        if (!table_.interspersed) break;
        out.arguments.emplace_back(word);
      }
    }
    for (; at_ < words_.size(); ++at_) out.arguments.push_back(words_[at_]);
    return {};
  }

 private:
  Result<void> long_flag(std::string_view text, Values& values) {
    auto [name, value] = split_once(text, '=');
    const Flag* flag = nullptr;
    for (const Flag& candidate : table_.flags)
      if (candidate.name == name || (!candidate.alias.empty() && candidate.alias == name))
        flag = &candidate;
    if (flag == nullptr) return unknown_long(name);
    if (value) return add(*flag, std::string(*value), values);
    if (flag->kind == FlagKind::kBool) return add(*flag, "true", values);
    return add_next(*flag, fmt::format("--{}", name), values);
  }

  // "it", "eNAME=V", "m=1g", "n5": a letter that takes a value takes the rest of the word.
  Result<void> short_flags(std::string_view letters, Values& values, ParsedFlags& out) {
    for (size_t i = 0; i < letters.size(); ++i) {
      const Flag* flag = nullptr;
      for (const Flag& candidate : table_.flags)
        if (candidate.letter == letters[i]) flag = &candidate;
      if (flag == nullptr) {
        if (letters == "h") {
          out.help = true;
          return {};
        }
        return unknown_letter(letters[i], letters);
      }
      std::string_view rest = letters.substr(i + 1);
      if (flag->kind == FlagKind::kBool) {
        if (rest.starts_with('=')) return add(*flag, std::string(rest.substr(1)), values);
        TRY_VOID(add(*flag, "true", values));
        continue;
      }
      if (rest.starts_with('=')) return add(*flag, std::string(rest.substr(1)), values);
      if (!rest.empty()) return add(*flag, std::string(rest), values);
      return add_next(*flag, fmt::format("-{}", letters[i]), values);
    }
    return {};
  }

  Result<void> add_next(const Flag& flag, const std::string& spelling, Values& values) {
    if (at_ + 1 >= words_.size())
      return Error(ErrorKind::kInvalidArgument, "flag needs an argument: " + spelling);
    return add(flag, words_[++at_], values);
  }

  static Result<void> add(const Flag& flag, std::string value, Values& values) {
    TRY_VOID(check_value(flag, value));
    values.emplace_back(&flag, std::move(value));
    return {};
  }

  Error unknown_long(std::string_view name) const {
    for (const RefusedFlag& refused : table_.refused)
      if (refused.name == name) return not_yet(name);
    Error error(ErrorKind::kInvalidArgument, fmt::format("unknown flag: --{}", name));
    std::vector<std::string_view> names;
    for (const Flag& flag : table_.flags) names.push_back(flag.name);
    if (auto near = nearest(name, names))
      error.set_hint(fmt::format("did you mean '--{}'?", *near));
    return error;
  }

  Error unknown_letter(char letter, std::string_view letters) const {
    for (const RefusedFlag& refused : table_.refused)
      if (refused.letter == letter) return not_yet(refused.name);
    Error error(ErrorKind::kInvalidArgument,
                fmt::format("unknown shorthand flag: '{}' in -{}", letter, letters));
    for (const Flag& flag : table_.flags)
      if (flag.name == letters) error.set_hint(fmt::format("did you mean '--{}'?", flag.name));
    return error;
  }

  static Error not_yet(std::string_view name) {
    return Error(ErrorKind::kUnsupported, fmt::format("'--{}' is not supported yet", name));
  }

  std::span<const std::string> words_;
  const FlagTable& table_;
  size_t at_ = 0;
};

}  // namespace

Result<ParsedFlags> parse_flags(std::span<const std::string> words, const FlagTable& table) {
  ParsedFlags parsed;
  parsed.flags_ = table.flags;
  TRY_VOID(Walk(words, table).run(parsed, parsed.values_));
  return parsed;
}

bool ParsedFlags::has(std::string_view name) const {
  return std::ranges::any_of(values_, [&](const auto& value) { return value.first->name == name; });
}

std::string_view ParsedFlags::raw(std::string_view name) const {
  for (auto value = values_.rbegin(); value != values_.rend(); ++value)
    if (value->first->name == name) return value->second;
  for (const Flag& flag : flags_)
    if (flag.name == name) return flag.fallback;
  return {};
}

bool ParsedFlags::boolean(std::string_view name) const {
  return parse_boolean(raw(name)).value_or(false);
}

std::string ParsedFlags::text(std::string_view name) const {
  return std::string(raw(name));
}

std::vector<std::string> ParsedFlags::list(std::string_view name) const {
  std::vector<std::string> all;
  for (const auto& [flag, value] : values_)
    if (flag->name == name) all.push_back(value);
  return all;
}

int64_t ParsedFlags::integer(std::string_view name) const {
  return parse_i64(raw(name)).value_or(0);
}

int64_t ParsedFlags::bytes(std::string_view name) const {
  if (raw(name) == "-1") return -1;
  return static_cast<int64_t>(parse_byte_size(raw(name)).value_or(0));
}

int64_t ParsedFlags::billionths(std::string_view name) const {
  return parse_billionths(raw(name)).value_or(0);
}

std::string flags_help(const FlagTable& table) {
  std::vector<const Flag*> sorted;
  for (const Flag& flag : table.flags) sorted.push_back(&flag);
  std::ranges::sort(sorted, {}, [](const Flag* flag) { return flag->name; });
  std::vector<std::string> left;
  size_t width = 0;
  for (const Flag* flag : sorted) {
    std::string text = flag->letter != 0 ? fmt::format("  -{}, ", flag->letter) : "      ";
    text += fmt::format("--{}", flag->name);
    if (flag->kind != FlagKind::kBool) text += fmt::format(" {}", value_word(flag->kind));
    width = std::max(width, text.size());
    left.push_back(std::move(text));
  }
  std::string help;
  for (size_t i = 0; i < sorted.size(); ++i) {
    help += fmt::format("{:<{}}   {}", left[i], width, sorted[i]->help);
    if (!sorted[i]->fallback.empty()) help += fmt::format(" (default {})", sorted[i]->fallback);
    help += '\n';
  }
  return help;
}

std::optional<int64_t> parse_billionths(std::string_view text) {
  auto [whole, fraction] = split_once(text, '.');
  if (whole.empty() && (!fraction || fraction->empty())) return std::nullopt;
  std::optional<uint64_t> units = whole.empty() ? 0 : parse_u64(whole);
  if (!units || *units > 9'000'000'000ULL) return std::nullopt;
  uint64_t parts = 0;
  if (fraction && !fraction->empty()) {
    if (fraction->size() > 9) return std::nullopt;
    std::optional<uint64_t> digits = parse_u64(*fraction);
    if (!digits) return std::nullopt;
    parts = *digits;
    for (size_t i = fraction->size(); i < 9; ++i) parts *= 10;
  }
  return static_cast<int64_t>(*units * 1'000'000'000 + parts);
}

std::optional<bool> parse_boolean(std::string_view text) {
  for (std::string_view yes : {"1", "t", "T", "true", "TRUE", "True"})
    if (text == yes) return true;
  for (std::string_view no : {"0", "f", "F", "false", "FALSE", "False"})
    if (text == no) return false;
  return std::nullopt;
}

}  // namespace wherry
