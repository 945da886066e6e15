#include "ocicli/main.h"

#include <fcntl.h>
#include <fmt/format.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cstdlib>
#include <span>

#include "base/text.h"
#include "base/weaken.h"
#include "ocicli/bundle_request.h"
#include "ocicli/command.h"
#include "ocicli/seal.h"

namespace wherry::ocicli {
namespace {

constexpr std::array kGlobalFlags{
    Flag{"root", 0, FlagKind::kString, "Where the states of containers are", "/run/wherry-oci"},
    Flag{"log", 0, FlagKind::kString, "A file for errors and warnings (default: standard error)"},
    Flag{"log-format", 0, FlagKind::kString, "text or json", "text"},
    Flag{"log-level", 0, FlagKind::kString, "debug, info, warning or error", "info"},
    Flag{"debug", 0, FlagKind::kBool, "Log debug messages too"},
    Flag{"systemd-cgroup", 0, FlagKind::kBool,
         "Cgroups by systemd; cgroupsPath is \"slice:prefix:name\""},
    Flag{"cgroup-manager", 0, FlagKind::kString, "cgroupfs, systemd or disabled", "cgroupfs"},
    Flag{"rootless", 0, FlagKind::kString, "true, false or auto", "auto"},
    Flag{"criu", 0, FlagKind::kString, "Ignored: criu is found through PATH"},
    Flag{"version", 'v', FlagKind::kBool, "Print the version"},
};

std::array<const CommandSpec*, 17> commands() {
  return {&kCheckpoint, &kCreate, &kDelete, &kEvents, &kExec,    &kFeatures,
          &kKill,       &kList,   &kPause,  &kPs,     &kRestore, &kResume,
          &kRun,        &kSpec,   &kStart,  &kState,  &kUpdate};
}

const CommandSpec* find_command(std::string_view name) {
  for (const CommandSpec* command : commands())
    if (command->name == name) return command;
  return nullptr;
}

std::string version_text() {
  return fmt::format("wherry-oci version {}\nspec: 1.2.0\n", WHERRY_VERSION) + weakened_text();
}

std::string help_text() {
  std::string text =
      "Usage: wherry-oci [OPTIONS] COMMAND\n\n"
      "Runs containers from OCI bundles.\n\nCommands:\n";
  for (const CommandSpec* command : commands())
    text += fmt::format("  {:<12}{}\n", command->name, command->summary);
  text += "\nOptions:\n" + flags_help({kGlobalFlags});
  return text;
}

std::string help_text(const CommandSpec& command) {
  std::string text =
      fmt::format("Usage: wherry-oci {} {}\n\n{}\n", command.name, command.usage, command.summary);
  if (!command.table.flags.empty()) text += "\nOptions:\n" + flags_help(command.table);
  return text;
}

// Without privileges the state is the user's own.
std::string default_root(const ParsedFlags& flags) {
  std::string root = flags.text("root");
  const char* run = getenv("XDG_RUNTIME_DIR");
  if (!flags.has("root") && geteuid() != 0 && run != nullptr && *run == '/')
    return std::string(run) + "/wherry-oci";
  return root;
}

Result<Globals> read_globals(const ParsedFlags& flags) {
  Globals globals;
  std::string manager = flags.text("cgroup-manager");
  if (manager != "cgroupfs" && manager != "systemd" && manager != "disabled")
    return Error(ErrorKind::kInvalidArgument, "invalid cgroup manager '" + manager + "'")
        .set_hint("use cgroupfs, systemd or disabled");
  globals.systemd_cgroup = flags.boolean("systemd-cgroup") || manager == "systemd";
  globals.cgroups_disabled = manager == "disabled";
  std::string rootless = flags.text("rootless");
  if (rootless != "auto" && !parse_boolean(rootless))
    return Error(ErrorKind::kInvalidArgument, "invalid value '" + rootless + "' of --rootless")
        .set_hint("use true, false or auto");
  TRY(globals.root, absolute_path(default_root(flags)));
  // Containers would lie beside everything else, and by force be deleted like it.
  if (globals.root.find_first_not_of('/') == std::string::npos)
    return Error(ErrorKind::kInvalidArgument, "--root must not be empty or '/'");
  return globals;
}

Result<Log> open_log(const ParsedFlags& flags) {
  std::string format = flags.text("log-format");
  if (format != "text" && format != "json")
    return Error(ErrorKind::kInvalidArgument, "invalid log-format: '" + format + "'")
        .set_hint("use text or json");
  std::optional<Level> level = parse_level(flags.text("log-level"));
  if (!level)
    return Error(ErrorKind::kInvalidArgument,
                 "invalid log-level: '" + flags.text("log-level") + "'");
  if (flags.boolean("debug")) level = Level::kDebug;
  std::string path = flags.text("log");
  if (path.starts_with("file:")) path.erase(0, 5);
  if (path.starts_with("journald:") || path.starts_with("syslog:"))
    return Error(ErrorKind::kUnsupported, "--log '" + path + "' is not supported")
        .set_hint("give a file");
  return Log::open(path, format == "json", *level);
}

Result<int> run_command(const CommandSpec& command, std::span<const std::string> words,
                        const ParsedFlags& global_flags, const Log& log, char** argv) {
  TRY(ParsedFlags flags, parse_flags(words, command.table));
  if (flags.help) return print(help_text(command));
  auto count = static_cast<int>(flags.arguments.size());
  if (count < command.min_arguments ||
      (command.max_arguments >= 0 && count > command.max_arguments))
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("\"wherry-oci {}\" takes {}", command.name,
                             command.usage.empty() ? "no arguments" : command.usage))
        .set_hint(fmt::format("see 'wherry-oci {} --help'", command.name));
  if (command.sealed && !weakened(Defence::kSeal)) TRY_VOID(ensure_sealed(argv));
  TRY(Globals globals, read_globals(global_flags));
  Call call{command, std::move(flags), globals, log};
  return command.run(call);
}

// Else the first files we open would take the places of closed standard streams, and be written to.
void fill_standard_streams() {
  for (int fd = STDIN_FILENO; fd <= STDERR_FILENO; ++fd)
    if (fcntl(fd, F_GETFD) < 0 && open("/dev/null", O_RDWR) != fd) _exit(1);
}

int failed(const Error& error, const Log& log, int code) {
  log.error(error);
  return code;
}

}  // namespace

Result<int> print(std::string_view text) {
  TRY_VOID_CTX(sys::write_all(STDOUT_FILENO, text), "cannot write to standard output");
  return 0;
}

int run_main(int argc, char** argv) {
  fill_standard_streams();
  std::vector<std::string> words(argv + std::min(argc, 1), argv + argc);
  Result<ParsedFlags> flags = parse_flags(words, {kGlobalFlags, {}, /*interspersed=*/false});
  if (!flags) return failed(flags.error(), Log(), 1);
  Result<Log> log = open_log(*flags);
  if (!log) return failed(log.error(), Log(), 1);
  auto said = [&](std::string_view text) {
    Result<int> printed = print(text);
    return printed ? 0 : failed(printed.error(), *log, 1);
  };
  if (flags->boolean("version")) return said(version_text());
  if (flags->help || flags->arguments.empty() || flags->arguments.front() == "help")
    return said(help_text());
  const CommandSpec* command = find_command(flags->arguments.front());
  if (command == nullptr)
    return failed(
        Error(ErrorKind::kInvalidArgument, "unknown command '" + flags->arguments.front() + "'")
            .set_hint("see 'wherry-oci --help'"),
        *log, 1);
  Result<int> code =
      run_command(*command, std::span(flags->arguments).subspan(1), *flags, *log, argv);
  return code ? *code : failed(code.error(), *log, command->failure_code);
}

}  // namespace wherry::ocicli
