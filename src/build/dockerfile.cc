#include "build/dockerfile.h"

#include <algorithm>

#include "base/text.h"
#include "build/dockerfile_lines.h"
#include "build/dockerfile_parts.h"
#include "build/lint.h"

namespace wherry::build {
namespace {

constexpr size_t kMaxInstructions = 10'000;

// Frontends that this parser stands in for.
Result<void> check_syntax(const std::string& syntax) {
  std::string_view name = trim(syntax);
  name = name.substr(0, name.find_first_of(" \t"));
  if (name.empty()) return {};
  std::string_view full = name;
  name = name.substr(0, name.find('@'));
  if (name.starts_with("docker.io/")) name.remove_prefix(10);
  auto [repository, tag_text] = split_once(name, ':');
  std::string_view tag = tag_text.value_or("latest");
  bool known = repository == "docker/dockerfile" || repository == "docker/dockerfile-upstream";
  if (tag.ends_with("-labs")) tag.remove_suffix(5);
  bool version = tag == "1" || tag.starts_with("1.") || tag.starts_with("1-") || tag == "labs" ||
                 tag == "latest" || tag == "master" || tag == "experimental";
  if (known && version) return {};
  return Error(ErrorKind::kUnsupported,
               "frontend '" + std::string(full.substr(0, 200)) + "' is not supported")
      .set_hint(
          "the built-in frontend understands docker/dockerfile:1; remove the '# syntax=' line or "
          "build with BUILDKIT_SYNTAX=docker/dockerfile:1");
}

Result<Instruction> read_instruction(const LogicalLine& line, char escape) {
  Result<Instruction> read = read_parts(line, escape);
  if (!read) return at_line(std::move(read.error()), line.place.first);
  return read;
}

// FROM comes first, and only ARG before it.
Result<void> check_order(const std::vector<Instruction>& instructions, int lines) {
  bool in_stage = false;
  for (const Instruction& instruction : instructions) {
    in_stage = in_stage || instruction.name == "FROM";
    if (!in_stage && instruction.name != "ARG")
      return at_line(Error(ErrorKind::kInvalidArgument, "no build stage in current context")
                         .set_hint("a Dockerfile begins with FROM"),
                     instruction.place.first);
  }
  if (instructions.empty())
    return at_line(Error(ErrorKind::kInvalidArgument, "file with no instructions"), lines);
  if (!in_stage)
    return at_line(Error(ErrorKind::kInvalidArgument, "dockerfile contains no stages to build")
                       .set_hint("a Dockerfile needs a FROM"),
                   instructions.back().place.first);
  return {};
}

}  // namespace

bool Checks::wants(std::string_view rule) const {
  return !skip_all && !skip.contains(to_lower(rule));
}

Result<void> enforce(const Checks& checks, const std::vector<Warning>& warnings) {
  if (!checks.error || warnings.empty()) return {};
  std::set<std::string> rules;
  for (const Warning& warning : warnings) rules.insert(warning.rule);
  std::vector<std::string> names(rules.begin(), rules.end());
  return Error(ErrorKind::kInvalidArgument, "lint violation found for rules: " + join(names, ", "))
      .set_hint("'# check=error=true' in the Dockerfile makes warnings errors");
}

Result<Dockerfile> parse_dockerfile(std::string_view text, const ParseOptions& options) {
  TRY(Lines lines, read_lines(text, /*directives=*/true));
  TRY_VOID(check_syntax(options.syntax.empty() ? lines.syntax : options.syntax));
  if (lines.lines.size() > kMaxInstructions)
    return Error(ErrorKind::kResourceExhausted, "the Dockerfile has more than 10000 instructions");
  Dockerfile file;
  file.escape = lines.escape;
  file.checks = std::move(lines.checks);
  for (const LogicalLine& line : lines.lines) {
    TRY(Instruction instruction, read_instruction(line, lines.escape));
    file.instructions.push_back(std::move(instruction));
  }
  TRY_VOID(check_order(file.instructions, static_cast<int>(std::ranges::count(text, '\n')) + 1));
  for (Warning& warning : lint(file.instructions, lines.lines))
    if (file.checks.wants(warning.rule)) file.warnings.push_back(std::move(warning));
  return file;
}

Result<Instruction> parse_trigger(std::string_view text, Place place) {
  auto refused = [&](Error error) {
    return std::move(error).wrap("invalid ONBUILD trigger '" +
                                 std::string(text.substr(0, text.find('\n')).substr(0, 200)) + "'");
  };
  Result<Lines> lines = read_lines(text, /*directives=*/false);
  if (!lines) return refused(std::move(lines.error()));
  if (lines->lines.size() != 1)
    return refused(Error(ErrorKind::kInvalidArgument, "it is not one instruction"));
  Result<Instruction> instruction = read_parts(lines->lines.front(), '\\');
  if (!instruction) return refused(std::move(instruction.error()));
  if (Result<void> allowed = check_trigger(instruction->name); !allowed)
    return refused(std::move(allowed.error()));
  instruction->place = place;
  return instruction;
}

std::string excerpt(std::string_view text, std::string_view file_name, Place place) {
  constexpr int kAround = 2;
  constexpr int kMost = 40;
  std::string out = std::string(file_name) + ":" + std::to_string(place.first) + "\n";
  const std::string rule = "--------------------\n";
  out += rule;
  int last = std::min(place.last, place.first + kMost);
  int number = 0;
  for (std::string_view line : split(text, '\n')) {
    ++number;
    if (number < place.first - kAround || number > last + kAround) continue;
    std::string digits = std::to_string(number);
    bool marked = number >= place.first && number <= place.last;
    if (line.ends_with('\r')) line.remove_suffix(1);
    out += std::string(digits.size() < 4 ? 4 - digits.size() : 0, ' ') + digits +
           (marked ? " | >>> " : " |     ") + std::string(line.substr(0, 500)) + "\n";
  }
  return out + rule;
}

}  // namespace wherry::build
