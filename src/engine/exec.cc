// exec: one more process in a running container, with a monitor of its own.
#include <poll.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/scope.h"
#include "base/trace.h"
#include "engine/host_facts.h"
#include "engine/local_engine.h"
#include "engine/merge.h"
#include "sys/file.h"
#include "sys/process.h"

namespace wherry::engine {
namespace {

constexpr int kEndingMs = 200;

Error not_running(const ContainerRecord& record) {
  return Error(ErrorKind::kConflict, "container " + record.id + " is not running");
}

// What a failed exec says. Its container may be ending: then that is what its user must hear, and
// not which step met it. An init that is about to end needs a moment for it.
Error explain_failure(const Error& error, const ContainerRecord& record, const RunView& view) {
  bool may_be_ending = error.errnum() == ESRCH || error.kind() == ErrorKind::kInternal;
  Result<sys::Fd> init = sys::open_process(view.state.pid, view.state.start_time);
  pollfd ended{init ? init->get() : -1, POLLIN, 0};
  bool gone = !init || poll(&ended, 1, may_be_ending ? kEndingMs : 0) > 0;
  return gone ? not_running(record) : error;
}

Result<oci::Process> exec_process(const ContainerRecord& record, const HostFacts& host,
                                  const ExecRequest& request) {
  if (request.cmd.empty() || request.cmd[0].empty())
    return Error(ErrorKind::kInvalidArgument, "no exec command specified");
  const std::string& directory =
      request.working_dir.empty() ? record.config.working_dir : request.working_dir;
  if (!directory.empty() && !directory.starts_with('/'))
    return Error(ErrorKind::kInvalidArgument, "the working directory '" + directory +
                                                  "' is invalid, it needs to be an absolute path");
  oci::Process process;
  process.terminal = request.tty;
  process.console_rows = request.rows;
  process.console_columns = request.columns;
  process.args = request.cmd;
  process.env = override_environment(
      process_environment(record, container_hostname(record, host), request.tty), request.env);
  process.cwd = directory.empty() ? "/" : directory;
  HostConfig config = record.host_config;
  config.privileged = config.privileged || request.privileged;
  TRY(std::vector<std::string> names, container_capabilities(config, host.all_capabilities));
  process.capabilities.bounding = names;
  process.capabilities.permitted = names;
  process.capabilities.effective = std::move(names);
  return process;
}

}  // namespace

Result<Engine::ExecResult> LocalEngine::exec(const std::string& name, const ExecRequest& request) {
  TraceScope trace("engine.exec");
  TRY(ContainerRecord record, find_record(name));
  TRY(RunView view, observe_run(fds_.run_containers.get(), record.id, Sight::kOnlooker));
  if (!view.running()) return not_running(record);
  TRY(bool paused, is_paused(record.id));
  if (paused)
    return Error(ErrorKind::kConflict,
                 "Container " + record.name + " is paused, unpause the container before exec");
  HostConfig confinement = record.host_config;
  confinement.privileged = confinement.privileged || request.privileged;
  TRY(HostFacts host, gather_host_facts(confinement));

  std::string id = random_id();
  monitor::MonitorConfig config;
  config.container_id = record.id;
  config.run_dir = paths_.run_dir(record.id) + "/exec/" + id;
  config.open_stdin = request.interactive;
  config.stdin_once = true;
  config.trace = tracing();
  runtime::ExecOptions& options = config.exec.emplace().options;
  options.init_pid = view.state.pid;
  options.init_start_time = view.state.start_time;
  options.cgroups_path = paths_.cgroup(record.id);
  TRY(options.process, exec_process(record, host, request));
  const std::string& user = request.user.empty() ? record.config.user : request.user;
  options.user = user.empty() ? "0" : user;
  // --privileged gives capabilities; the filter stays the container's own.
  TRY(std::vector<std::string> own,
      container_capabilities(record.host_config, host.all_capabilities));
  TRY(options.seccomp_filter, seccomp_filter(record, own));

  TRY(sys::Fd execs, sys::make_dirs(paths_.run_dir(record.id) + "/exec", 0700));
  TRY(sys::Fd run_dir, sys::make_dir_at(execs.get(), id, 0700));
  auto forget = [dir = std::make_shared<sys::Fd>(std::move(execs)), id] {
    [[maybe_unused]] auto removed = sys::remove_tree_at(dir->get(), id);
  };
  auto undo = on_exit(forget);
  TRY_VOID(failpoint("engine.exec.prepared"));
  Result<monitor::Client> launched = launch_monitor(config);
  if (!launched) return explain_failure(launched.error(), record, view);
  auto client = std::make_shared<monitor::Client>(std::move(*launched));
  if (!request.detach) {
    TRY_VOID(client->send(monitor::WatchExit{}));
    TRY_VOID(client->send(monitor::Attach{request.interactive, true, true}));
  }
  if (Result<void> started = client->call(monitor::Start{}); !started)
    return explain_failure(started.error(), record, view);
  TRY_VOID(failpoint("engine.exec.started"));
  undo.release();
  if (request.detach) return ExecResult{id, nullptr};
  // Once its client knows the code, nobody else will ask for it.
  auto at_end = [forget](bool ended) {
    if (ended) forget();
  };
  return ExecResult{id, std::make_unique<MonitorSession>(std::move(client), at_end)};
}

}  // namespace wherry::engine
