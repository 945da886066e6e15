#include "build/ignore.h"

#include "base/text.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxFile = 1u << 20;
constexpr size_t kMaxRules = 10'000;
constexpr size_t kMaxRule = 4096;
// States of a rule are bits of one number.
constexpr size_t kMaxParts = 63;
constexpr std::string_view kBom = "\xEF\xBB\xBF";

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

// ---- one name against one wildcard

// The bytes of the character at `at`.
size_t character(std::string_view text, size_t at) {
  size_t end = at + 1;
  while (end < text.size() && (static_cast<unsigned char>(text[end]) & 0xC0) == 0x80) ++end;
  return end - at;
}

// "[a-z]" at `at`, checked by compile(); `at` moves behind it.
bool in_class(std::string_view pattern, size_t& at, std::string_view c) {
  ++at;
  bool negated = pattern[at] == '^';
  if (negated) ++at;
  bool found = false;
  bool first = true;
  auto next = [&] {
    if (pattern[at] == '\\') ++at;
    std::string_view one = pattern.substr(at, character(pattern, at));
    at += one.size();
    return one;
  };
  while (first || pattern[at] != ']') {
    first = false;
    std::string_view low = next();
    std::string_view high = low;
    if (pattern[at] == '-' && pattern[at + 1] != ']') {
      ++at;
      high = next();
    }
    // UTF-8 sorts as its code points do.
    found = found || (c >= low && c <= high);
  }
  ++at;
  return found != negated;
}

// One pattern element against one character; `at` moves behind the element.
bool takes(std::string_view pattern, size_t& at, std::string_view c) {
  if (pattern[at] == '[') return in_class(pattern, at, c);
  if (pattern[at] == '?') {
    ++at;
    return true;
  }
  if (pattern[at] == '\\') ++at;
  std::string_view literal = pattern.substr(at, character(pattern, at));
  at += literal.size();
  return literal == c;
}

// The last star is the only one that ever needs another try: what stands before it is settled.
bool glob(std::string_view pattern, std::string_view name) {
  size_t at = 0;
  size_t in = 0;
  size_t star = pattern.npos;
  size_t star_in = 0;
  while (in < name.size()) {
    if (at < pattern.size() && pattern[at] == '*') {
      star = ++at;
      star_in = in;
      continue;
    }
    std::string_view c = name.substr(in, character(name, in));
    if (at < pattern.size() && takes(pattern, at, c)) {
      in += c.size();
      continue;
    }
    if (star == pattern.npos) return false;
    at = star;
    star_in += character(name, star_in);
    in = star_in;
  }
  while (at < pattern.size() && pattern[at] == '*') ++at;
  return at == pattern.size();
}

// Whether "[...]" at `at` is whole; `at` moves behind it.
bool skip_class(std::string_view pattern, size_t& at) {
  ++at;
  if (at < pattern.size() && pattern[at] == '^') ++at;
  for (bool first = true; at < pattern.size(); first = false) {
    if (pattern[at] == ']' && !first) {
      ++at;
      return true;
    }
    if (pattern[at] == ']' || pattern[at] == '-') return false;
    auto skip_one = [&] {
      if (pattern[at] == '\\') ++at;
      if (at < pattern.size()) at += character(pattern, at);
    };
    skip_one();
    if (at + 1 < pattern.size() && pattern[at] == '-') {
      ++at;
      if (pattern[at] == ']') return false;
      skip_one();
    }
  }
  return false;
}

// As Go's path.Clean does it: no ".", no "//", ".." takes a name away where there is one.
std::vector<std::string_view> cleaned(std::string_view path) {
  std::vector<std::string_view> names;
  bool rooted = path.starts_with('/');
  for (std::string_view name : split(path, '/')) {
    if (name.empty() || name == ".") continue;
    bool up = name == "..";
    if (up && !names.empty() && names.back() != "..") {
      names.pop_back();
    } else if (!up || !rooted) {
      names.push_back(name);
    }
  }
  return names;
}

}  // namespace

Result<Ignore::Part> Ignore::compile(std::string_view name) {
  Part part{Part::Kind::kLiteral, std::string(name)};
  if (name == "**") {
    part.kind = Part::Kind::kAnyDepth;
    return part;
  }
  for (size_t at = 0; at < name.size();) {
    char c = name[at];
    if (c == '*' || c == '?' || c == '[' || c == '\\') part.kind = Part::Kind::kWild;
    if (c == '[') {
      if (!skip_class(name, at)) return invalid("syntax error in pattern: '[' is not closed");
    } else if (c == '\\') {
      if (at + 1 == name.size()) return invalid("syntax error in pattern: it ends with '\\'");
      at += 2;
    } else {
      ++at;
    }
  }
  return part;
}

Result<void> Ignore::add(std::string_view line) {
  std::string_view text = trim(line);
  if (text.empty()) return {};
  if (text.size() > kMaxRule)
    return Error(ErrorKind::kResourceExhausted, "the rule is longer than 4096 bytes");
  if (text.find('\0') != text.npos) return invalid("the rule has a NUL byte");
  Rule rule;
  rule.include = text.front() == '!';
  if (rule.include) text = trim(text.substr(1));
  if (text.empty()) return invalid("illegal exclusion pattern: \"!\"");
  for (std::string_view name : cleaned(text)) {
    TRY(Part part, compile(name));
    bool repeated = part.kind == Part::Kind::kAnyDepth && !rule.parts.empty() &&
                    rule.parts.back().kind == Part::Kind::kAnyDepth;
    if (!repeated) rule.parts.push_back(std::move(part));
  }
  if (rule.parts.size() > kMaxParts)
    return Error(ErrorKind::kResourceExhausted, "the rule has more than 63 names");
  // "." and "/" are nothing, as Docker has it.
  if (rule.parts.empty()) return {};
  if (rules_.size() >= kMaxRules)
    return Error(ErrorKind::kResourceExhausted, "more than 10000 rules");
  rules_.push_back(std::move(rule));
  return {};
}

Result<Ignore> Ignore::parse(std::string_view text) {
  if (text.size() > kMaxFile)
    return Error(ErrorKind::kResourceExhausted, "the file is larger than 1 MiB");
  if (text.starts_with(kBom)) text.remove_prefix(kBom.size());
  Ignore ignore;
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (line.starts_with('#')) continue;
    TRY_VOID_CTX(ignore.add(line), "line " + std::to_string(number) + ": '" +
                                       std::string(trim(line).substr(0, 100)) + "'");
  }
  return ignore;
}

Result<Ignore> Ignore::from_rules(const std::vector<std::string>& rules) {
  Ignore ignore;
  for (const std::string& rule : rules)
    TRY_VOID_CTX(ignore.add(rule), "'" + rule.substr(0, 100) + "'");
  return ignore;
}

namespace {

using States = uint64_t;

}  // namespace

// Bit i of `states`: the first i parts have taken the names so far.
template <typename Parts>
static States entered(const Parts& parts, States states) {
  using Kind = std::remove_cvref_t<decltype(parts.front().kind)>;
  // "**" may take nothing, except at the end: "a/**" is what is in a, not a.
  for (size_t i = 0; i + 1 < parts.size(); ++i)
    if ((states >> i & 1) != 0 && parts[i].kind == Kind::kAnyDepth) states |= States{1} << (i + 1);
  return states;
}

template <typename Parts>
static States advanced(const Parts& parts, States states, std::string_view name) {
  using Kind = std::remove_cvref_t<decltype(parts.front().kind)>;
  States next = 0;
  for (size_t i = 0; i < parts.size(); ++i) {
    if ((states >> i & 1) == 0) continue;
    const auto& part = parts[i];
    if (part.kind == Kind::kAnyDepth) {
      next |= States{1} << i;
      if (i + 1 == parts.size()) next |= States{1} << (i + 1);
    } else if (part.kind == Kind::kLiteral ? part.text == name : glob(part.text, name)) {
      next |= States{1} << (i + 1);
    }
  }
  return next == 0 ? 0 : entered(parts, next);
}

bool Ignore::covers(const Rule& rule, const std::vector<std::string_view>& names) {
  States states = entered(rule.parts, 1);
  for (std::string_view name : names) {
    states = advanced(rule.parts, states, name);
    if ((states >> rule.parts.size() & 1) != 0) return true;
    if (states == 0) return false;
  }
  return false;
}

bool Ignore::reaches_below(const Rule& rule, const std::vector<std::string_view>& names) {
  States states = entered(rule.parts, 1);
  for (std::string_view name : names) {
    states = advanced(rule.parts, states, name);
    if (states == 0) return false;
  }
  return true;
}

bool Ignore::matches(std::string_view path) const {
  if (path.empty() || rules_.empty()) return false;
  std::vector<std::string_view> names = split(path, '/');
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule)
    if (covers(*rule, names)) return !rule->include;
  return false;
}

bool Ignore::may_contain_included(std::string_view directory) const {
  if (directory.empty()) return true;
  std::vector<std::string_view> names = split(directory, '/');
  // A "!" above the last rule that excludes all of the directory changes nothing in it.
  for (auto rule = rules_.rbegin(); rule != rules_.rend(); ++rule) {
    if (rule->include && reaches_below(*rule, names)) return true;
    if (!rule->include && covers(*rule, names)) return false;
  }
  return true;
}

}  // namespace wherry::build
