// What a command is: its spellings, help, flag table and function. The table of all commands is in
// commands.cc; only the invoked command's flags are ever parsed.
#pragma once

#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <string_view>

#include "cli/config.h"
#include "cli/flags.h"
#include "engine/local.h"

namespace wherry::cli {

// What commands share: the effective configuration and the engine, opened on first use.
class Context {
 public:
  using Opener =
      std::function<Result<std::unique_ptr<engine::Engine>>(const engine::LocalOptions&)>;
  // `open`: engine::open_local; tests give their own.
  Context(Config config, Opener open) : config(std::move(config)), open_(std::move(open)) {}

  Result<engine::Engine*> engine();
  // To standard error, unless the log level is error.
  void warn(const std::vector<std::string>& warnings) const;

  Config config;
  std::optional<engine::NextRun> runs_next;

 private:
  Opener open_;
  std::unique_ptr<engine::Engine> engine_;
};

struct CommandSpec;

struct Invocation {
  const CommandSpec& command;
  ParsedFlags flags;
  Context& context;

  const std::vector<std::string>& arguments() const { return flags.arguments; }
};

struct CommandSpec {
  std::string_view names;    // spellings, the first one preferred: "ps|container ls|container list"
  std::string_view usage;    // "[OPTIONS] IMAGE [COMMAND] [ARG...]"
  std::string_view summary;  // one line
  const FlagTable* table = nullptr;
  int min_arguments = 0;
  int max_arguments = 0;  // -1: any number
  // The exit code, or an error that is printed and becomes `failure_code`.
  Result<int> (*run)(Invocation&) = nullptr;
  int failure_code = 1;  // 125 for run and create
  bool hidden = false;

  // The first spelling, as in "Run 'wherry run --help'".
  std::string_view name() const { return names.substr(0, names.find('|')); }
};

std::span<const CommandSpec> all_commands();

// A group's one-line help ("container", "image", "config"); empty when there is no such group.
std::string_view group_summary(std::string_view group);
std::span<const std::string_view> all_groups();

// The command that `words` begin with, and how many words its name has; nullptr when none matches.
struct FoundCommand {
  const CommandSpec* command = nullptr;
  size_t words = 0;
};
FoundCommand find_command(std::span<const std::string> words);
// Error for a word that is no command, with the nearest one as hint.
Error unknown_command(std::span<const std::string> words);

// --- help texts
std::string main_help();
std::string group_help(std::string_view group);
std::string command_help(const CommandSpec& command);
// man/wherry.1, made from the tables (hidden command __man).
std::string manual_page();

// The program: parses the global options, finds the command, runs it. Returns the exit code.
int run_main(std::span<const std::string> words, const Context::Opener& open);

}  // namespace wherry::cli
