// What a monitor supervises: a container's init, or one exec session's process, behind the same
// verbs. The create and exec paths themselves are runtime's.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "monitor/config.h"
#include "runtime/container.h"

namespace wherry::monitor {

class Workload {
 public:
  // Creates the container, which then waits before its execve, or with a permit goes on to it; an
  // exec session is only remembered.
  // Takes the plans out of `config`. `stdio` is borrowed until start() has returned. `cgroup`,
  // `permit` and `meanwhile`: as in runtime::CreateOptions.
  static Result<Workload> create(MonitorConfig& config, const runtime::Stdio& stdio,
                                 runtime::PreparedCgroup& cgroup,
                                 const std::function<Result<sys::Fd>()>& permit,
                                 const std::function<Result<void>()>& meanwhile);

  // Runs the program, or hears that it runs. On an error nothing is left of it.
  Result<void> start();
  // Kills, reaps and removes what create() made, or what start() has started.
  void abandon();

  bool is_exec() const { return exec_options_.has_value(); }
  pid_t pid() const;
  uint64_t start_time() const;
  int pidfd() const;
  // The terminal's master; for an exec session after start().
  sys::Fd take_console();
  std::vector<std::string> warnings() const;

  Result<runtime::Container::Exit> reap();
  // Of a container that is frozen, or not.
  Result<void> thaw();
  // Removes what is left of a container: cgroups and who is in them. Nothing for an exec session.
  Result<void> destroy();

 private:
  Workload() = default;
  std::optional<runtime::Container> container_;
  std::string cgroups_path_;
  std::optional<runtime::ExecOptions> exec_options_;
  std::optional<runtime::ExecProcess> exec_;
};

}  // namespace wherry::monitor
