// Command-line flags as tables: one Flag a row, one parser for all commands.
//
// Docker's conventions (pflag's): --name=value and --name value, -n value, -nvalue and -n=value,
// letters combined (-it), boolean flags with an optional =true or =false, "--" ends the flags, and
// a command that takes a program to run stops at its first argument. CLI11 has neither that stop
// nor "-eNAME=V" beside combined letters, and building its objects costs more than the rest of the
// start (docs/design/cli.md). Each Docker flag that is not there yet is in a command's `refused`
// list, so that it is named and never ignored.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry {

enum class FlagKind {
  kBool,
  kString,
  kList,     // may be repeated; every value counts
  kInt,      // 64-bit decimal
  kBytes,    // "512m"; "-1" where the flag means unlimited by it
  kDecimal,  // "1.5", kept in billionths
};

struct Flag {
  std::string_view name;
  char letter;  // 0: no short form
  FlagKind kind;
  std::string_view help;
  std::string_view fallback = {};  // the value without the flag, shown in the help
  std::string_view alias = {};     // a second long name
};

// A flag that Docker has and we do not yet.
struct RefusedFlag {
  std::string_view name;
  char letter = 0;
};

struct FlagTable {
  std::span<const Flag> flags;
  std::span<const RefusedFlag> refused = {};
  bool interspersed = true;  // flags may follow arguments; false: the first argument ends the flags
};

class ParsedFlags {
 public:
  bool has(std::string_view name) const;
  // The last value given, else the table's fallback.
  bool boolean(std::string_view name) const;
  std::string text(std::string_view name) const;
  std::vector<std::string> list(std::string_view name) const;
  // Valid by construction: the parser has checked them. 0 when there is neither value nor fallback.
  int64_t integer(std::string_view name) const;
  int64_t bytes(std::string_view name) const;  // -1: unlimited
  int64_t billionths(std::string_view name) const;

  bool help = false;                   // --help was given
  std::vector<std::string> arguments;  // what is not a flag

 private:
  friend Result<ParsedFlags> parse_flags(std::span<const std::string> words,
                                         const FlagTable& table);
  std::string_view raw(std::string_view name) const;
  std::span<const Flag> flags_;
  std::vector<std::pair<const Flag*, std::string>> values_;
};

// Errors are kInvalidArgument in Docker's words, with a hint that names the nearest flag; a refused
// flag is kUnsupported. Front ends exit with 125 on them.
Result<ParsedFlags> parse_flags(std::span<const std::string> words, const FlagTable& table);

// The flags' part of a command's help, sorted by name, one a line.
std::string flags_help(const FlagTable& table);

// "1.5" -> 1500000000; nullopt when malformed, negative, or finer than a billionth.
std::optional<int64_t> parse_billionths(std::string_view text);
// Go's booleans: 1 t T true TRUE True 0 f F false FALSE False.
std::optional<bool> parse_boolean(std::string_view text);

}  // namespace wherry
