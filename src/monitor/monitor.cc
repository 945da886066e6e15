#include "monitor/monitor.h"

#include <fcntl.h>
#include <signal.h>
#include <unistd.h>

#include <optional>
#include <utility>

#include "base/failpoint.h"
#include "base/trace.h"
#include "monitor/config.h"
#include "monitor/permit.h"
#include "monitor/supervisor.h"
#include "monitor/surroundings.h"
#include "runtime/cgroup_hierarchies.h"
#include "runtime/container.h"
#include "sys/clone.h"
#include "sys/rtnetlink.h"

namespace wherry::monitor {
namespace {

void do_nothing(int) {}

// Signals meant for the caller's group must not reach a container through its monitor. Handlers,
// because unlike "ignore" they do not survive an execve into the container.
void disregard_signals() {
  struct sigaction action{};
  action.sa_handler = do_nothing;
  action.sa_flags = SA_RESTART;
  for (int number : {SIGHUP, SIGINT, SIGQUIT, SIGTERM, SIGUSR1, SIGUSR2, SIGPIPE})
    sigaction(number, &action, nullptr);
}

// What can be done before the configuration is there. Of the two cgroups the one that will be
// waited for: our own can be entered while a container's init is at work.
Result<Supervisor::Prepared> stand_by(const Beforehand& beforehand) {
  Supervisor::Prepared made;
  TRY_VOID(runtime::keep_cgroup_mounts());
  if (!beforehand.container_cgroup.empty()) {
    TRY(made.cgroup, runtime::PreparedCgroup::make(beforehand.container_cgroup));
    made.engine_cgroup = beforehand.engine_cgroup;
  } else if (!beforehand.engine_cgroup.empty()) {
    TRY_VOID(runtime::enter_cgroup(beforehand.engine_cgroup));
  }
  if (beforehand.network_namespace) {
    TRY(made.network, sys::make_network_namespace([] { return sys::configure_links(nullptr); }));
  }
  TRY_VOID(failpoint("monitor.standby"));
  return made;
}

// nullopt: whoever has started us is gone, or does not need us.
Result<std::optional<MonitorConfig>> read_config(int socket) {
  TRY(std::optional<std::string> text, receive_document(socket));
  if (!text) return std::optional<MonitorConfig>();
  TRY(MonitorConfig config, parse_monitor_config(*text));
  return std::optional(std::move(config));
}

// The first client hears why through its socket: there is no other way to it.
int report(int socket, Error error) {
  send_now(socket, Failed{std::move(error)});
  return 1;
}

}  // namespace

int run_monitor(int config_fd, int socket_fd, const Beforehand& beforehand) {
  sys::Fd launcher(config_fd);
  sys::Fd client(socket_fd);
  for (int fd : {config_fd, socket_fd}) fcntl(fd, F_SETFD, FD_CLOEXEC);
  take_fixed_surroundings();
  disregard_signals();
  Result<Supervisor::Prepared> made = stand_by(beforehand);
  if (!made) return report(client.get(), std::move(made.error()));

  Result<std::optional<MonitorConfig>> given = read_config(launcher.get());
  if (!given) return report(client.get(), std::move(given.error()));
  if (!*given) return 0;
  MonitorConfig config = std::move(**given);
  if (config.trace) enable_trace();
  Result<EventLoop> loop = EventLoop::create();
  if (!loop) return report(client.get(), std::move(loop.error()));
  Result<sys::Fd> spare = client.dup();
  if (!spare) return report(client.get(), std::move(spare.error()));

  Supervisor supervisor(std::move(*loop), std::move(config), std::move(launcher), std::move(*made));
  Result<void> prepared = supervisor.prepare(std::move(client));
  if (!prepared) return report(spare->get(), std::move(prepared.error()));
  spare->reset();
  return supervisor.run() ? 0 : 1;
}

}  // namespace wherry::monitor
