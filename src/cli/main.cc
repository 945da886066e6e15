// The program's way from argv to a command's function: global options, configuration, dispatch.
#include <fmt/format.h>
#include <unistd.h>

#include <csignal>

#include "base/text.h"
#include "base/trace.h"
#include "cli/command.h"
#include "cli/exit_code.h"
#include "cli/global_flags.h"
#include "cli/output.h"
#include "sys/lock_wait.h"

namespace wherry::cli {
namespace {

int report_usage(const Error& error, std::string_view command, int code) {
  report_error(error);
  print_error_text(fmt::format("\nRun 'wherry{}{} --help' for more information\n",
                               command.empty() ? "" : " ", command));
  return code;
}

void report_lock_wait(const std::string& name, const std::optional<sys::LockHolder>& holder) {
  std::string text = fmt::format("wherry: waiting for the lock of '{}'", name);
  if (holder) {
    text += fmt::format(", which process {} ('{}') holds", holder->pid, printable(holder->command));
    if (holder->stopped)
      text += fmt::format("; it is stopped\n  let it go on: kill -CONT {}", holder->pid);
  }
  print_error_text(text + "\n");
}

int print_text(std::string_view text) {
  Result<void> printed = print(text);
  if (printed) return 0;
  report_error(printed.error());
  return 1;
}

Error engine_elsewhere(std::string_view how) {
  return Error(ErrorKind::kUnsupported,
               fmt::format("{} asks for an engine elsewhere, which is not supported yet", how))
      .set_hint("wherry works on this machine without a service: leave it out or unset it");
}

// A remote engine that was asked for must never quietly become the local one.
Result<void> refuse_remote(const ParsedFlags& globals) {
  if (globals.has("host")) return engine_elsewhere(fmt::format("'-H {}'", globals.text("host")));
  if (globals.has("context") && globals.text("context") != "default")
    return engine_elsewhere(fmt::format("'--context {}'", globals.text("context")));
  if (auto host = environment_variable("DOCKER_HOST"))
    return engine_elsewhere(fmt::format("DOCKER_HOST='{}'", *host));
  auto context = environment_variable("DOCKER_CONTEXT");
  if (context && *context != "default")
    return engine_elsewhere(fmt::format("DOCKER_CONTEXT='{}'", *context));
  return {};
}

Result<void> apply_globals(Config& config, const ParsedFlags& globals) {
  if (globals.has("log-level")) {
    auto level = parse_log_level(globals.text("log-level"));
    if (!level)
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("invalid log level '{}'", globals.text("log-level")))
          .set_hint("use debug, info, warn or error");
    config.log_level = *level;
  }
  if (globals.boolean("debug")) config.log_level = LogLevel::kDebug;
  for (auto [flag, root] : {std::pair{"root", &config.data_root}, {"run-root", &config.run_root}}) {
    if (!globals.has(flag)) continue;
    *root = globals.text(flag);
    if (!root->starts_with('/'))
      return Error(ErrorKind::kInvalidArgument,
                   fmt::format("--{} '{}' is not an absolute path", flag, *root));
  }
  if (config.log_level == LogLevel::kDebug) enable_trace();
  return {};
}

Result<void> check_count(const CommandSpec& command, size_t count) {
  auto least = static_cast<size_t>(command.min_arguments);
  auto most = static_cast<size_t>(command.max_arguments);
  bool any = command.max_arguments < 0;
  if (count >= least && (any || count <= most)) return {};
  std::string need = any             ? fmt::format("at least {}", least)
                     : least == most ? (most == 0 ? "no" : fmt::format("exactly {}", most))
                                     : fmt::format("from {} to {}", least, most);
  return Error(ErrorKind::kInvalidArgument,
               fmt::format("'wherry {}' requires {} argument{}; it has {}", command.name(), need,
                           (any ? least : most) == 1 ? "" : "s", count))
      .set_hint(fmt::format("Usage: wherry {} {}", command.name(), command.usage));
}

// `config check` must work with the very files that are broken.
bool reads_config(const CommandSpec& command) {
  return command.name() != "config check" && command.name() != "__man";
}

int run_command(const CommandSpec& command, std::span<const std::string> words,
                const ParsedFlags& globals, const Context::Opener& open) {
  Result<ParsedFlags> flags = parse_flags(words, *command.table);
  if (!flags) return report_usage(flags.error(), command.name(), kUsageExit);
  if (flags->help) return print_text(command_help(command));
  if (Result<void> count = check_count(command, flags->arguments.size()); !count)
    return report_usage(count.error(), command.name(), 1);
  Result<Config> config =
      reads_config(command) ? load_config(globals.text("config"), environment_variable) : Config{};
  if (config)
    if (Result<void> applied = apply_globals(*config, globals); !applied)
      config = std::move(applied.error());
  if (!config) {
    report_error(config.error());
    return command.failure_code;
  }
  Context context(std::move(*config), open);
  Invocation call{command, std::move(*flags), context};
  Result<int> code = command.run(call);
  if (code) return *code;
  report_error(code.error());
  bool usage =
      code.error().kind() == ErrorKind::kInvalidArgument && command.failure_code == kUsageExit;
  if (usage)
    print_error_text(
        fmt::format("\nRun 'wherry {} --help' for more information\n", command.name()));
  return command.failure_code;
}

int dispatch(std::span<const std::string> words, const ParsedFlags& globals,
             const Context::Opener& open) {
  if (words[0] == "help") {
    words = words.subspan(1);
    FoundCommand found = find_command(words);
    if (found.command != nullptr) return print_text(command_help(*found.command));
    if (words.empty()) return print_text(main_help());
    if (!group_summary(words[0]).empty()) return print_text(group_help(words[0]));
    return report_usage(unknown_command(words), "", 1);
  }
  FoundCommand found = find_command(words);
  if (found.command != nullptr)
    return run_command(*found.command, words.subspan(found.words), globals, open);
  bool group = !group_summary(words[0]).empty();
  if (group && (words.size() == 1 || words[1] == "--help")) return print_text(group_help(words[0]));
  return report_usage(unknown_command(words), group ? words[0] : "", 1);
}

}  // namespace

int run_main(std::span<const std::string> words, const Context::Opener& open) {
  // A reader that goes away is an error of write(2), which each writer handles.
  std::signal(SIGPIPE, SIG_IGN);
  sys::observe_lock_waits(&report_lock_wait);
  Result<ParsedFlags> globals = parse_flags(words, kGlobalFlags);
  if (!globals) return report_usage(globals.error(), "", kUsageExit);
  if (globals->boolean("version"))
    return print_text(fmt::format("wherry version {}\n", WHERRY_VERSION));
  std::span<const std::string> rest = globals->arguments;
  if (globals->help || rest.empty()) return print_text(main_help());
  if (Result<void> local = refuse_remote(*globals); !local) {
    report_error(local.error());
    return rest[0] == "run" || rest[0] == "create" ? kUsageExit : 1;
  }
  return dispatch(rest, *globals, open);
}

}  // namespace wherry::cli
