#include "build/lint.h"

#include <algorithm>
#include <map>

#include "base/text.h"
#include "build/dockerfile_words.h"

namespace wherry::build {
namespace {

bool is_lower(std::string_view word) {
  return std::ranges::none_of(word, [](char c) { return c >= 'A' && c <= 'Z'; });
}
bool is_upper(std::string_view word) {
  return std::ranges::none_of(word, [](char c) { return c >= 'a' && c <= 'z'; });
}

class Linter {
 public:
  Linter(const std::vector<Instruction>& instructions, const std::vector<LogicalLine>& lines)
      : instructions_(instructions), lines_(lines) {}

  std::vector<Warning> run() {
    for (size_t i = 0; i < instructions_.size(); ++i) {
      const Instruction& instruction = instructions_[i];
      if (lines_[i].empty_continuation)
        warn("NoEmptyContinuation", "Empty continuation line", instruction);
      if (const auto* from = std::get_if<From>(&instruction.what)) enter_stage(*from, lines_[i]);
      old_forms(instruction, lines_[i]);
      repeated(instruction);
      json_recommended(instruction);
      workdir(instruction);
    }
    casing();
    std::ranges::stable_sort(warnings_, {}, [](const Warning& w) { return w.place.first; });
    return std::move(warnings_);
  }

 private:
  void warn(std::string rule, std::string message, const Instruction& at) {
    warnings_.push_back({std::move(rule), std::move(message), at.place});
  }

  void enter_stage(const From& from, const LogicalLine& line) {
    const Instruction& at = instructions_[static_cast<size_t>(&line - lines_.data())];
    seen_.clear();
    shell_set_ = false;
    workdir_absolute_ = false;
    std::vector<std::string> words = blank_words(line.rest);
    if (from.name.empty() || words.size() < 2) return;
    const std::string& as = words[words.size() - 2];
    if ((is_lower(as) && is_upper(line.word)) || (is_upper(as) && is_lower(line.word)))
      warn("FromAsCasing", "'" + as + "' and '" + line.word + "' keywords' casing do not match",
           at);
    if (words.back() != from.name)
      warn("StageNameCasing", "Stage name '" + words.back() + "' should be lowercase", at);
    if (from.name == "scratch" || from.name == "context")
      warn("ReservedStageName",
           "'" + from.name + "' is reserved and should not be used as a stage name", at);
    auto [first, added] = names_.emplace(from.name, at.place.first);
    if (!added)
      warn("DuplicateStageName",
           "Duplicate stage name '" + from.name + "', stage names should be unique", at);
  }

  void old_forms(const Instruction& at, const LogicalLine& line) {
    if (at.name == "MAINTAINER")
      warn("MaintainerDeprecated", "Maintainer instruction is deprecated in favor of using label",
           at);
    if (at.name != "ENV" && at.name != "LABEL") return;
    std::vector<std::string> words = blank_words(line.rest);
    if (!words.empty() && words.front().find('=') == std::string::npos)
      warn("LegacyKeyValueFormat",
           "\"" + at.name + " key=value\" should be used instead of legacy \"" + at.name +
               " key value\" format",
           at);
  }

  void repeated(const Instruction& at) {
    if (at.name != "CMD" && at.name != "ENTRYPOINT" && at.name != "HEALTHCHECK") return;
    if (++seen_[at.name] == 2)
      warn("MultipleInstructionsDisallowed",
           "Multiple " + at.name +
               " instructions should not be used in the same stage because only "
               "the last one will be used",
           at);
  }

  void json_recommended(const Instruction& at) {
    shell_set_ = shell_set_ || at.name == "SHELL";
    if (shell_set_) return;
    const Command* command = nullptr;
    if (const auto* cmd = std::get_if<Cmd>(&at.what)) command = &cmd->command;
    if (const auto* entrypoint = std::get_if<Entrypoint>(&at.what)) command = &entrypoint->command;
    if (command != nullptr && !command->exec)
      warn("JSONArgsRecommended",
           "JSON arguments recommended for " + at.name +
               " to prevent unintended behavior related to OS signals",
           at);
  }

  void workdir(const Instruction& at) {
    const auto* directory = std::get_if<Workdir>(&at.what);
    if (directory == nullptr) return;
    if (directory->path.starts_with('/') || directory->path.starts_with('$')) {
      workdir_absolute_ = true;
    } else if (!workdir_absolute_) {
      warn("WorkdirRelativePath",
           "Relative workdir '" + directory->path +
               "' can have unexpected results if the base image has a WORKDIR set",
           at);
      workdir_absolute_ = true;
    }
  }

  // All instructions the way most of them are.
  void casing() {
    size_t lower = 0;
    size_t upper = 0;
    for (const LogicalLine& line : lines_) {
      lower += is_lower(line.word) ? 1 : 0;
      upper += is_upper(line.word) ? 1 : 0;
    }
    bool want_lower = lower > upper;
    for (size_t i = 0; i < lines_.size(); ++i) {
      const std::string& word = lines_[i].word;
      if (want_lower ? is_lower(word) : is_upper(word)) continue;
      warn("ConsistentInstructionCasing",
           "Command '" + word + "' should match the case of the command majority (" +
               (want_lower ? "lowercase" : "uppercase") + ")",
           instructions_[i]);
    }
  }

  const std::vector<Instruction>& instructions_;
  const std::vector<LogicalLine>& lines_;
  std::vector<Warning> warnings_;
  std::map<std::string, int> seen_;   // of the stage
  std::map<std::string, int> names_;  // stages
  bool shell_set_ = false;
  bool workdir_absolute_ = false;
};

}  // namespace

std::vector<Warning> lint(const std::vector<Instruction>& instructions,
                          const std::vector<LogicalLine>& lines) {
  return Linter(instructions, lines).run();
}

}  // namespace wherry::build
