#include "monitor/workload.h"

#include <poll.h>
#include <signal.h>

#include <cerrno>

#include "base/trace.h"
#include "sys/process.h"

namespace wherry::monitor {

Result<Workload> Workload::create(MonitorConfig& config, const runtime::Stdio& stdio,
                                  runtime::PreparedCgroup& cgroup,
                                  const std::function<Result<sys::Fd>()>& permit) {
  Workload workload;
  if (config.exec) {
    workload.exec_options_ = std::move(config.exec->options);
    workload.exec_options_->stdio = stdio;
    config.exec.reset();
    return workload;
  }
  TraceScope scope("monitor: create container");
  MonitorConfig::ContainerPlan plan = std::move(*config.container);
  config.container.reset();
  runtime::CreateOptions options;
  options.spec = &plan.spec;
  options.root = std::move(plan.root);
  options.stdio = stdio;
  options.cgroup = &cgroup;
  options.permit = permit;
  options.seccomp_filter = std::move(plan.seccomp_filter);
  options.link = std::move(plan.link);
  options.user = std::move(plan.user);
  options.create_cwd = plan.create_cwd;
  TRY(runtime::Container container, runtime::Container::create(options));
  workload.container_.emplace(std::move(container));
  workload.cgroups_path_ = std::move(plan.spec.cgroups_path);
  return workload;
}

Result<void> Workload::start() {
  TraceScope scope("monitor: start program");
  if (container_) return container_->start();
  TRY(runtime::ExecProcess started, runtime::ExecProcess::start(*exec_options_));
  exec_.emplace(std::move(started));
  // Only that it was one is of interest from now on.
  *exec_options_ = runtime::ExecOptions();
  return {};
}

void Workload::abandon() {
  if (pidfd() < 0) return;
  [[maybe_unused]] Result<void> killed = sys::signal_process(pidfd(), SIGKILL);
  pollfd ended{pidfd(), POLLIN, 0};
  while (poll(&ended, 1, -1) < 0 && errno == EINTR) {
  }
  [[maybe_unused]] Result<runtime::Container::Exit> reaped = reap();
  [[maybe_unused]] Result<void> destroyed = destroy();
}

pid_t Workload::pid() const {
  return container_ ? container_->pid() : exec_ ? exec_->pid() : 0;
}

uint64_t Workload::start_time() const {
  if (container_) return container_->start_time();
  return exec_ ? sys::process_start_time(exec_->pid()).value_or(0) : 0;
}

int Workload::pidfd() const {
  return container_ ? container_->pidfd() : exec_ ? exec_->pidfd() : -1;
}

sys::Fd Workload::take_console() {
  if (container_) return container_->take_console();
  return exec_ ? exec_->take_console() : sys::Fd();
}

std::vector<std::string> Workload::warnings() const {
  return container_ ? container_->warnings() : std::vector<std::string>();
}

Result<void> Workload::thaw() {
  return runtime::freeze_cgroup(cgroups_path_, false);
}

Result<runtime::Container::Exit> Workload::reap() {
  return container_ ? container_->reap() : exec_->reap();
}

Result<void> Workload::destroy() {
  return container_ ? container_->destroy() : Result<void>();
}

}  // namespace wherry::monitor
