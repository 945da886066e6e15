// --env-file and -e. Docker's format: NAME=VALUE or NAME a line, # comments, no quotes.
#include <fmt/format.h>

#include "base/text.h"
#include "cli/run_request.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

Error bad_line(std::string_view path, size_t line, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' line {}: {}", path, line, why));
}

}  // namespace

Result<std::vector<std::string>> parse_env_file(std::string_view text, std::string_view path,
                                                EnvironmentLookup lookup) {
  std::vector<std::string> entries;
  if (text.starts_with("\xEF\xBB\xBF")) text.remove_prefix(3);
  if (text.size() > kMaxListFile)
    return Error(ErrorKind::kResourceExhausted,
                 fmt::format("'{}' is larger than {} bytes", path, kMaxListFile));
  if (text.find('\0') != text.npos)
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' contains a NUL byte", path));
  size_t number = 0;
  for (std::string_view line : split(text, '\n')) {
    if (++number > kMaxListLines)
      return bad_line(path, number, fmt::format("more than {} lines", kMaxListLines));
    if (line.ends_with('\r')) line.remove_suffix(1);
    while (!line.empty() && (line[0] == ' ' || line[0] == '\t')) line.remove_prefix(1);
    if (line.empty() || line[0] == '#') continue;
    auto [name, value] = split_once(line, '=');
    if (name.empty())
      return bad_line(path, number, fmt::format("no variable name on line '{}'", line));
    if (name.find_first_of(" \t") != name.npos)
      return bad_line(path, number, fmt::format("variable '{}' contains whitespaces", name));
    if (value) {
      entries.emplace_back(line);
    } else if (auto ours = lookup(std::string(name).c_str())) {
      entries.push_back(fmt::format("{}={}", name, *ours));
    }
  }
  return entries;
}

Result<std::vector<std::string>> environment(const ParsedFlags& flags, EnvironmentLookup lookup) {
  std::vector<std::string> all;
  for (const std::string& path : flags.list("env-file")) {
    TRY_CTX(std::string text, sys::read_file(path, kMaxListFile), "--env-file");
    TRY_CTX(std::vector<std::string> entries, parse_env_file(text, path, lookup), "--env-file");
    all.insert(all.end(), entries.begin(), entries.end());
  }
  for (const std::string& entry : flags.list("env")) {
    auto [name, value] = split_once(entry, '=');
    if (name.empty())
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid environment variable: '{}'", entry));
    auto ours = value ? std::nullopt : lookup(std::string(name).c_str());
    all.push_back(ours ? fmt::format("{}={}", name, *ours) : entry);
  }
  return all;
}

}  // namespace wherry::cli
