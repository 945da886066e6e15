// start, attach and exec: sessions with containers that exist.
#include <fmt/format.h>

#include "cli/container_commands.h"
#include "cli/exit_code.h"
#include "cli/output.h"
#include "cli/run_request.h"
#include "cli/session_end.h"
#include "cli/stream.h"
#include "cli/terminal.h"

namespace wherry::cli {
namespace {

constexpr auto kBool = FlagKind::kBool;
constexpr auto kString = FlagKind::kString;

constexpr Flag kStart[] = {
    {"attach", 'a', kBool, "Attach stdout and stderr, and pass signals on"},
    {"detach-keys", 0, kString, "Keys that leave the container running", "ctrl-p,ctrl-q"},
    {"interactive", 'i', kBool, "Attach stdin too"},
};
constexpr RefusedFlag kStartLater[] = {{"checkpoint"}, {"checkpoint-dir"}};

constexpr Flag kAttach[] = {
    {"detach-keys", 0, kString, "Keys that leave the container running", "ctrl-p,ctrl-q"},
    {"no-stdin", 0, kBool, "Do not attach stdin"},
    {"sig-proxy", 0, kBool, "Pass signals on to the container", "true"},
};

constexpr Flag kExec[] = {
    {"detach", 'd', kBool, "Run in the background"},
    {"detach-keys", 0, kString, "Keys that leave the command running", "ctrl-p,ctrl-q"},
    {"env", 'e', FlagKind::kList, "Variable NAME=VALUE, or NAME to copy ours"},
    {"env-file", 0, FlagKind::kList, "File of variables, one a line"},
    {"interactive", 'i', kBool, "Keep stdin open"},
    {"privileged", 0, kBool, "Run without the confinement"},
    {"tty", 't', kBool, "Give the command a terminal"},
    {"user", 'u', kString, "User to run as: NAME|UID[:GROUP|GID]"},
    {"workdir", 'w', kString, "Working directory inside the container"},
};

// Prints the error; the code is 126 or 127 when the program could not be run, else 1.
int report_start_failure(const Error& error) {
  report_error(error);
  return start_failure_code(error, 1);
}

Result<int> start_attached(Invocation& call, const std::string& name) {
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::ContainerRecord record, engine->inspect(name));
  StreamOptions streams;
  streams.input = call.flags.boolean("interactive") && record.config.open_stdin;
  streams.tty = record.config.tty;
  streams.detach_keys = call.flags.text("detach-keys");
  TRY_VOID(parse_detach_keys(streams.detach_keys));
  TRY_VOID(check_terminal(streams.input, streams.tty));
  TerminalSize size = streams.tty ? terminal_size() : TerminalSize{};
  SignalMask mask;
  TRY(engine::Engine::RunResult started,
      engine->start(name, engine::AttachStreams{streams.input, true, true}, size.rows,
                    size.columns));
  call.context.warn(started.warnings);
  std::unique_ptr<engine::Session> session = std::move(started.session);
  if (!session)
    return Error(ErrorKind::kConflict, fmt::format("'{}' is already running", name))
        .set_hint(fmt::format("use 'wherry attach {}'", name));
  TRY(StreamEnd end, relay(*session, streams, mask));
  return finish_session(*engine, record.id, std::move(session), end, true);
}

Result<engine::ExecRequest> exec_request(const Invocation& call) {
  engine::ExecRequest request;
  request.tty = call.flags.boolean("tty");
  request.detach = call.flags.boolean("detach");
  request.interactive = call.flags.boolean("interactive") && !request.detach;
  request.user = call.flags.text("user");
  request.working_dir = call.flags.text("workdir");
  request.privileged = call.flags.boolean("privileged");
  if (!request.working_dir.empty() && request.working_dir[0] != '/')
    return Error(
        ErrorKind::kInvalidArgument,
        fmt::format("the working directory '{}' is invalid, it needs to be an absolute path",
                    request.working_dir));
  TRY(request.env, environment(call.flags, environment_variable));
  request.cmd.assign(call.arguments().begin() + 1, call.arguments().end());
  if (request.tty && !request.detach) {
    TerminalSize size = terminal_size();
    request.rows = size.rows;
    request.columns = size.columns;
  }
  return request;
}

Result<int> exec_attached(Invocation& call) {
  TRY(engine::ExecRequest request, exec_request(call));
  TRY_VOID(check_terminal(request.interactive, request.tty));
  StreamOptions streams;
  streams.input = request.interactive;
  streams.tty = request.tty;
  streams.sig_proxy = false;  // Docker's exec passes no signals on either
  streams.detach_keys = call.flags.text("detach-keys");
  TRY_VOID(parse_detach_keys(streams.detach_keys));
  TRY(engine::Engine * engine, call.context.engine());
  std::optional<SignalMask> mask;
  if (!request.detach) mask.emplace();
  TRY(engine::Engine::ExecResult result, engine->exec(call.arguments()[0], request));
  if (!result.session) return 0;
  TRY(StreamEnd end, relay(*result.session, streams, *mask));
  return finish_session(*engine, result.id, std::move(result.session), end, false);
}

}  // namespace

constinit const FlagTable kStartFlags{kStart, kStartLater};
constinit const FlagTable kAttachFlags{kAttach};
constinit const FlagTable kExecFlags{kExec, {}, false};

Result<int> start_containers(Invocation& call) {
  if (call.flags.boolean("attach") || call.flags.boolean("interactive")) {
    if (call.arguments().size() > 1)
      return Error(ErrorKind::kInvalidArgument,
                   "you cannot start and attach multiple containers at once");
    Result<int> code = start_attached(call, call.arguments()[0]);
    return code ? *code : report_start_failure(code.error());
  }
  return for_each_argument(call, [&](const std::string& name) -> Result<void> {
    TRY(engine::Engine * engine, call.context.engine());
    TRY(auto started, engine->start(name, std::nullopt, 0, 0));
    call.context.warn(started.warnings);
    return print(name + "\n");
  });
}

Result<int> attach_container(Invocation& call) {
  const std::string& name = call.arguments()[0];
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::ContainerRecord record, engine->inspect(name));
  if (record.state.status == "paused")
    return Error(ErrorKind::kConflict, "You cannot attach to a paused container, unpause it first");
  if (record.state.status != "running")
    return Error(ErrorKind::kConflict, "You cannot attach to a stopped container, start it first");
  StreamOptions streams;
  streams.input = record.config.open_stdin && !call.flags.boolean("no-stdin");
  streams.tty = record.config.tty;
  streams.sig_proxy = call.flags.boolean("sig-proxy");
  streams.detach_keys = call.flags.text("detach-keys");
  streams.resize_first = streams.tty;
  TRY_VOID(parse_detach_keys(streams.detach_keys));
  TRY_VOID(check_terminal(streams.input, streams.tty));
  SignalMask mask;
  TRY(auto session, engine->attach(name, engine::AttachStreams{streams.input, true, true}));
  TRY(StreamEnd end, relay(*session, streams, mask));
  return finish_session(*engine, record.id, std::move(session), end, false);
}

Result<int> exec_in_container(Invocation& call) {
  Result<int> code = exec_attached(call);
  if (code) return *code;
  report_error(code.error());
  return exec_failure_code(code.error());
}

}  // namespace wherry::cli
