// `exec`: one more process in a running container.
#include <array>
#include <limits>
#include <map>
#include <optional>
#include <utility>

#include "base/text.h"
#include "base/weaken.h"
#include "ocicli/exec_settings.h"
#include "ocicli/flag_tables.h"
#include "ocicli/foreground.h"
#include "ocicli/lifecycle.h"

namespace wherry::ocicli {
namespace {

constexpr size_t kProcessLimit = size_t{4} << 20;
constexpr int kExecFailure = 255;

constexpr std::array kExecFlags{
    kConsoleSocketFlag,
    kPidfdSocketFlag,
    kPidFileFlag,
    kPreserveFdsFlag,
    kDetachFlag,
    Flag{"cwd", 0, FlagKind::kString, "The working directory in the container"},
    Flag{"env", 'e', FlagKind::kList, "One more environment variable, NAME=value"},
    Flag{"tty", 't', FlagKind::kBool, "Give the process a terminal"},
    Flag{"user", 'u', FlagKind::kString, "UID[:GID]"},
    Flag{"additional-gids", 'g', FlagKind::kList, "One more supplementary group"},
    Flag{"process", 'p', FlagKind::kString, "A file with the whole process as in config.json"},
    Flag{"process-label", 0, FlagKind::kString, "The SELinux label of the process"},
    Flag{"apparmor", 0, FlagKind::kString, "The AppArmor profile of the process"},
    Flag{"no-new-privs", 0, FlagKind::kBool, "No new privileges by execve"},
    Flag{"cap", 'c', FlagKind::kList, "One more capability: CAP_NAME"},
    Flag{"cgroup", 0, FlagKind::kList, "A cgroup below the container's own: [CONTROLLER:]PATH"},
    Flag{"ignore-paused", 0, FlagKind::kBool, "Also in a paused container"},
};

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Result<uint32_t> parse_id(std::string_view text, std::string_view what) {
  if (weakened(Defence::kUserWords))
    return static_cast<uint32_t>(strtoul(std::string(text).c_str(), nullptr, 10));
  std::optional<uint64_t> id = parse_u64(text);
  // The highest number stands for "none" in the kernel's calls.
  if (!id || *id >= std::numeric_limits<uint32_t>::max())
    return invalid("invalid " + std::string(what) + " '" + std::string(text) + "'");
  return static_cast<uint32_t>(*id);
}

Result<void> set_user(std::string_view words, oci::User& user) {
  auto [uid, gid] = split_once(words, ':');
  TRY(user.uid, parse_id(uid, "user"));
  if (gid) {
    TRY(user.gid, parse_id(*gid, "group"));
  }
  return {};
}

void add_capability(std::string name, oci::Capabilities& sets) {
  if (!name.starts_with("CAP_")) name.insert(0, "CAP_");
  // Never inheritable: a program of another user's would get them by its file.
  for (std::vector<std::string>* set : {&sets.bounding, &sets.effective, &sets.permitted})
    set->push_back(name);
}

Result<oci::Process> process_from_flags(const Call& call, const oci::Process& of_init) {
  const ParsedFlags& flags = call.flags;
  oci::Process process = of_init;
  process.args.assign(call.arguments().begin() + 1, call.arguments().end());
  if (process.args.empty()) return invalid("process args cannot be empty");
  process.terminal = flags.boolean("tty");
  process.console_rows = process.console_columns = 0;
  if (flags.has("cwd")) process.cwd = flags.text("cwd");
  if (flags.has("apparmor")) process.apparmor_profile = flags.text("apparmor");
  if (flags.has("process-label")) process.selinux_label = flags.text("process-label");
  if (flags.has("no-new-privs")) process.no_new_privileges = flags.boolean("no-new-privs");
  for (const std::string& variable : flags.list("env")) process.env.push_back(variable);
  for (const std::string& name : flags.list("cap")) add_capability(name, process.capabilities);
  if (flags.has("user")) TRY_VOID(set_user(flags.text("user"), process.user));
  for (const std::string& list : flags.list("additional-gids"))
    for (std::string_view word : split(list, ',')) {
      TRY(uint32_t group, parse_id(word, "group"));
      process.user.additional_gids.push_back(group);
    }
  return process;
}

Result<oci::Process> process_from_file(const std::string& path) {
  TRY(std::string text, sys::read_file(path, kProcessLimit));
  TRY_CTX(oci::Process process, oci::parse_process(text), "cannot use '" + path + "'");
  if (process.args.empty()) return invalid("process args cannot be empty");
  return process;
}

// "/below" for every controller, or "controller[,controller]:/below", several times, as runc has
// it.
Result<std::map<std::string, std::string>> sub_cgroups(const ParsedFlags& flags) {
  std::map<std::string, std::string> all;
  const std::vector<std::string> given = flags.list("cgroup");
  for (const std::string& argument : given) {
    const auto [before, after] = split_once(argument, ':');
    if (!after && given.size() > 1)
      return invalid("invalid --cgroup argument '" + argument +
                     "': only one can be without a controller");
    const std::string path(after.value_or(before));
    for (std::string_view controller : split(after ? before : std::string_view(), ',')) {
      if (after && controller.empty())
        return invalid("invalid --cgroup argument '" + argument + "': a controller has no name");
      if (!all.emplace(controller, path.starts_with('/') ? path : "/" + path).second)
        return invalid("invalid --cgroup argument '" + argument + "': controller '" +
                       std::string(controller) + "' was given before");
    }
  }
  // The container's own.
  std::erase_if(all, [](const auto& place) { return place.second == "/"; });
  return all;
}

Result<void> check_status(Status status) {
  if (status == Status::kStopped)
    return Error(ErrorKind::kConflict, "cannot exec in a stopped container")
        .set_hint("container not running");
  if (status == Status::kCreating)
    return Error(ErrorKind::kConflict, "cannot exec in a container that is being created");
  return {};
}

Result<int> run_foreground(runtime::BundleExecOptions options, const std::string& pid_file,
                           const Log& log) {
  TRY(SignalRelay signals, SignalRelay::block());
  if (std::optional<winsize> size = callers_size(); size && options.console_socket.empty()) {
    options.process.console_rows = size->ws_row;
    options.process.console_columns = size->ws_col;
  }
  TRY(runtime::ExecProcess process, runtime::exec_in_bundle(options));
  warn_all(log, process.warnings());
  TRY_VOID(write_pid_file(pid_file, process.pid()));
  sys::Fd console = process.take_console();
  std::optional<RawTerminal> raw;
  if (console) raw.emplace(RawTerminal::enter());
  TRY_VOID(attend({process.pid(), process.pidfd(), console.get(), /*reap_others=*/true}, signals));
  TRY(runtime::Container::Exit exit, process.reap());
  return exit.code;
}

Result<int> run_detached(const runtime::BundleExecOptions& options, const std::string& pid_file,
                         const Log& log) {
  TRY(runtime::ExecProcess process, runtime::exec_in_bundle(options));
  warn_all(log, process.warnings());
  TRY_VOID(write_pid_file(pid_file, process.pid()));
  return 0;
}

Result<int> run_exec(Call& call) {
  const ParsedFlags& flags = call.flags;
  TRY(ContainerDir dir, ContainerDir::open(call.globals.root, call.id()));
  TRY(Record record, dir.read());
  TRY(Status status, dir.status_of_init(record));
  TRY_VOID(check_status(status));
  TRY(ExecSettings settings, exec_settings(dir, call.globals));
  oci::RuntimeSpec& spec = settings.spec;
  runtime::BundleExecOptions options;
  options.spec = &spec;
  options.filter = std::move(settings.filter);
  options.refuse_paused = !flags.boolean("ignore-paused");
  options.id = record.id;
  options.bundle = record.bundle;
  options.init_pid = record.pid;
  options.init_start_time = record.start_time;
  options.cgroup = record.cgroup;
  TRY(options.sub_cgroups, sub_cgroups(flags));
  if (flags.has("process")) {
    TRY(options.process, process_from_file(flags.text("process")));
    // containerd and conmon say it here; the file's own word stands where they do not.
    if (flags.has("tty")) options.process.terminal = flags.boolean("tty");
  } else {
    TRY(options.process, process_from_flags(call, spec.process));
  }
  if (flags.integer("preserve-fds") < 0) return invalid("--preserve-fds must not be negative");
  options.preserve_fds = static_cast<unsigned>(flags.integer("preserve-fds"));
  options.preserve_fds += pass_listen_fds(options.process);
  TRY_VOID(check_preserved(options.preserve_fds, call.log));
  TRY(options.console_socket, absolute_path(flags.text("console-socket")));
  TRY(options.pidfd_socket, absolute_path(flags.text("pidfd-socket")));
  options.no_new_keyring = record.no_new_keyring;
  options.detached = flags.boolean("detach");
  if (spec.seccomp) {
    TRY(options.seccomp_cache, seccomp_cache(call.globals));
  }
  TRY(std::string pid_file, absolute_path(flags.text("pid-file")));
  return options.detached ? run_detached(options, pid_file, call.log)
                          : run_foreground(std::move(options), pid_file, call.log);
}

}  // namespace

const CommandSpec kExec = {
    .name = "exec",
    .usage = "[OPTIONS] CONTAINER COMMAND [ARG...]",
    .summary = "Run one more process in a container; exits with its code",
    .table = {.flags = kExecFlags, .refused = {}, .interspersed = false},
    .min_arguments = 1,
    .max_arguments = -1,
    .run = run_exec,
    .failure_code = kExecFailure,
    .sealed = true,
};

}  // namespace wherry::ocicli
