// Ignore: the rules of .dockerignore and of COPY --exclude, compiled once, asked per path.
//
// The last rule that matches wins, a rule matches a path and everything below it, "!" lets back in.
// `*`, `?` and `[a-z]` stay within a name, `**` crosses any number of them, none included; "\"
// takes the meaning of what follows. Paths are relative, clean, without a leading "/".
// Source: Docker's documentation of .dockerignore, Go's filepath.Match. Matching is linear in the
// pattern times the path, never exponential. Immutable; any thread may ask.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::build {

class Ignore {
 public:
  Ignore() = default;  // excludes nothing
  // A file's text: a line each, "#" in the first column is a comment, a BOM is skipped. Errors are
  // kInvalidArgument and name the line. Limits: 1 MiB, 10,000 rules, 4,096 bytes a rule.
  static Result<Ignore> parse(std::string_view text);
  // Rules without comments: the values of --exclude.
  static Result<Ignore> from_rules(const std::vector<std::string>& rules);

  bool empty() const { return rules_.empty(); }
  // Whether `path` is excluded.
  bool matches(std::string_view path) const;
  // Of an excluded directory: whether a "!" rule may let something in it back in. A walker need not
  // enter it otherwise.
  bool may_contain_included(std::string_view directory) const;

 private:
  // One name of a pattern.
  struct Part {
    enum class Kind : uint8_t { kLiteral, kWild, kAnyDepth } kind = Kind::kLiteral;
    std::string text;
  };
  struct Rule {
    bool include = false;  // "!"
    std::vector<Part> parts;
  };

  Result<void> add(std::string_view line);
  static Result<Part> compile(std::string_view name);
  static bool covers(const Rule& rule, const std::vector<std::string_view>& names);
  static bool reaches_below(const Rule& rule, const std::vector<std::string_view>& names);

  std::vector<Rule> rules_;
};

}  // namespace wherry::build
