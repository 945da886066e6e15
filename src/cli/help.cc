// Help texts and the manual page, all from the same tables that are parsed.
#include <fmt/format.h>

#include <algorithm>

#include "base/text.h"
#include "cli/command.h"
#include "cli/global_flags.h"

namespace wherry::cli {
namespace {

constexpr auto kString = FlagKind::kString;

constexpr Flag kGlobals[] = {
    {"config", 0, kString, "Configuration file, or a directory with a config.json"},
    {"context", 'c', kString, "Only 'default' until remote engines are supported"},
    {"debug", 'D', FlagKind::kBool, "Same as --log-level debug"},
    {"host", 'H', kString, "Refused until remote engines are supported"},
    {"log-level", 'l', kString, "debug, info, warn or error", "info"},
    {"root", 0, kString, "Where images and containers are kept", "/var/lib/wherry"},
    {"run-root", 0, kString, "Where running state is kept", "/run/wherry"},
    {"version", 'v', FlagKind::kBool, "Print the version and exit"},
};
constexpr RefusedFlag kGlobalsLater[] = {
    {"tls"}, {"tlsverify"}, {"tlscacert"}, {"tlscert"}, {"tlskey"}};

std::string command_lines(std::span<const std::pair<std::string, std::string_view>> lines) {
  size_t width = 0;
  for (const auto& [name, summary] : lines) width = std::max(width, name.size());
  std::string text;
  for (const auto& [name, summary] : lines)
    text += fmt::format("  {:<{}}   {}\n", name, width, summary);
  return text;
}

// The word behind "group " in a command's spellings; empty when it has none there.
std::string_view name_in_group(const CommandSpec& command, std::string_view group) {
  for (std::string_view name : split(command.names, '|')) {
    auto [first, second] = split_once(name, ' ');
    if (first == group && second) return *second;
  }
  return {};
}

// --- roff

std::string roff(std::string_view text) {
  std::string out;
  for (char c : text) {
    if (c == '\\')
      out += "\\e";
    else if (c == '-')
      out += "\\-";
    else
      out += c;
  }
  if (out.starts_with('.') || out.starts_with('\'')) out.insert(0, "\\&");
  return out;
}

std::string roff_flags(const FlagTable& table) {
  std::string out;
  for (const Flag& flag : table.flags) {
    std::string spelling = flag.letter != 0 ? fmt::format("-{}, --{}", flag.letter, flag.name)
                                            : fmt::format("--{}", flag.name);
    out += fmt::format(".TP\n.B {}\n{}.", roff(spelling), roff(flag.help));
    if (!flag.fallback.empty()) out += fmt::format(" Default: {}.", roff(flag.fallback));
    out += '\n';
  }
  return out;
}

constexpr std::string_view kManualEnd =
    R"(.SH EXIT STATUS
.TP
.B 0
Success; also when the user left an attached container with the detach keys.
.TP
.B 1
The command failed, or had the wrong number of arguments.
.TP
.B 125
A flag was wrong, or run or create failed before the container's program could start.
.TP
.B 126
The program was found but could not be executed.
.TP
.B 127
The program was not found.
.PP
.BR run ,
.B start \-a
and
.B exec
otherwise exit as the program did; 128+N when signal N ended it.
.SH ENVIRONMENT
.TP
.B DOCKER_HOST, DOCKER_CONTEXT
When set to anything but the default they are an error: remote engines are not supported yet.
.TP
.B XDG_CONFIG_HOME, HOME
Where the user's configuration file is looked for.
.TP
.B WHERRY_TRACE
When 1, timings are printed to standard error.
.SH FILES
.TP
.I /etc/wherry/config.json
The configuration, see
.BR wherry\-config (5).
.TP
.I /var/lib/wherry
Images, containers and volumes.
.TP
.I /run/wherry
What is running now.
.SH SEE ALSO
.BR wherry\-config (5)
)";

}  // namespace

constinit const FlagTable kGlobalFlags{kGlobals, kGlobalsLater, false};

std::string main_help() {
  std::vector<std::pair<std::string, std::string_view>> commands;
  std::vector<std::pair<std::string, std::string_view>> groups;
  for (const CommandSpec& command : all_commands())
    if (!command.hidden && command.name().find(' ') == std::string_view::npos)
      commands.emplace_back(command.name(), command.summary);
  for (std::string_view group : all_groups()) groups.emplace_back(group, group_summary(group));
  return fmt::format(
      "Usage: wherry [OPTIONS] COMMAND\n\nA container engine without a daemon.\n\n"
      "Commands:\n{}\nGroups:\n{}\nOptions:\n{}\n"
      "Run 'wherry COMMAND --help' for more information on a command.\n",
      command_lines(commands), command_lines(groups), flags_help(kGlobalFlags));
}

std::string group_help(std::string_view group) {
  std::vector<std::pair<std::string, std::string_view>> commands;
  for (const CommandSpec& command : all_commands())
    if (std::string_view name = name_in_group(command, group); !name.empty())
      commands.emplace_back(name, command.summary);
  return fmt::format("Usage: wherry {} COMMAND\n\n{}.\n\nCommands:\n{}", group,
                     group_summary(group), command_lines(commands));
}

std::string command_help(const CommandSpec& command) {
  std::string text =
      fmt::format("Usage: wherry {} {}\n\n{}.\n", command.name(), command.usage, command.summary);
  std::string aliases;
  for (std::string_view name : split(command.names, '|'))
    aliases += fmt::format("{}wherry {}", aliases.empty() ? "" : ", ", name);
  if (command.names.find('|') != std::string_view::npos)
    text += fmt::format("\nAliases: {}\n", aliases);
  if (!command.table->flags.empty())
    text += fmt::format("\nOptions:\n{}", flags_help(*command.table));
  return text;
}

std::string manual_page() {
  std::string page = fmt::format(
      ".TH WHERRY 1 \"\" \"wherry {}\" \"Containers\"\n.SH NAME\nwherry \\- a container engine "
      "without a "
      "daemon\n.SH SYNOPSIS\n.B wherry\n[OPTIONS] COMMAND [ARGUMENTS]\n.SH DESCRIPTION\n"
      "Runs containers from images. The command does the work itself; a small monitor stays with "
      "each "
      "running container. Commands, flags and output follow the docker command line.\n.SH "
      "OPTIONS\n{}"
      ".SH COMMANDS\n",
      WHERRY_VERSION, roff_flags(kGlobalFlags));
  for (const CommandSpec& command : all_commands()) {
    if (command.hidden) continue;
    page += fmt::format(".SS wherry {} {}\n{}.\n", roff(command.name()), roff(command.usage),
                        roff(command.summary));
    if (command.names.find('|') != std::string_view::npos) {
      std::string others;
      for (std::string_view name : split(command.names, '|'))
        if (name != command.name())
          others += fmt::format("{}wherry {}", others.empty() ? "" : ", ", name);
      page += fmt::format("Also: {}.\n", roff(others));
    }
    page += roff_flags(*command.table);
  }
  page += kManualEnd;
  return page;
}

}  // namespace wherry::cli
