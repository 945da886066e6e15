#include <fcntl.h>
#include <signal.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/trace.h"
#include "runtime/bundle.h"
#include "runtime/bundle_parts.h"
#include "runtime/bundle_sockets.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/cgroup_hierarchies.h"
#include "runtime/cgroup_systemd.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

Result<bool> only_version_2() {
  TRY(const Hierarchies hierarchies, find_hierarchies());
  return hierarchies.v1.empty();
}

}  // namespace

Result<void> check_preserved_fds(unsigned count) {
  for (unsigned fd = 3; fd < 3 + count; ++fd)
    if (fcntl(static_cast<int>(fd), F_GETFD) < 0)
      return Error(ErrorKind::kInvalidArgument,
                   "cannot preserve file descriptor " + std::to_string(fd) + ": it is not open")
          .set_errnum(errno);
  return {};
}

Result<void> check_console(const oci::Process& process, const std::string& socket, bool detached) {
  if (!process.terminal && !socket.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "cannot use console socket if runc will not detach or allocate tty");
  if (process.terminal && socket.empty() && detached)
    return Error(ErrorKind::kInvalidArgument,
                 "cannot allocate tty if runc will detach without setting console socket");
  return {};
}

Result<SpecFilter> filter_of(const oci::RuntimeSpec& spec, const std::string& cache) {
  if (!spec.seccomp) return SpecFilter{};
  TRY(SpecFilter filter, cached_spec_filter(*spec.seccomp, cache));
  if (filter.listener && spec.seccomp->listener_path.empty())
    return Error(ErrorKind::kInvalidArgument,
                 "the action 'SCMP_ACT_NOTIFY' needs linux.seccomp.listenerPath");
  return filter;
}

BundlePart bundle_part(unsigned preserve_fds, bool no_new_keyring, bool detached,
                       const SpecFilter& filter) {
  BundlePart part;
  part.outlive_creator = detached;
  part.preserve_fds = preserve_fds;
  part.no_new_keyring = no_new_keyring;
  part.seccomp_flags = filter.flags;
  part.seccomp_listener = filter.listener;
  return part;
}

Result<sys::Fd> pass_console(sys::Fd console, const std::string& socket) {
  if (!console || socket.empty()) return console;
  TRY_VOID(send_fd_to(socket, console.get(), "/dev/ptmx"));
  return sys::Fd();
}

Result<void> pass_pidfd(int pidfd, const std::string& socket) {
  if (socket.empty()) return {};
  return send_fd_to(socket, pidfd, "pidfd");
}

Result<void> pass_listener(int listener, pid_t pid, const oci::RuntimeSpec& spec,
                           const HookState& state) {
  nlohmann::ordered_json object = {
      {"ociVersion", state.oci_version}, {"fds", {"seccompFd"}}, {"pid", pid}};
  if (!spec.seccomp->listener_metadata.empty())
    object["metadata"] = spec.seccomp->listener_metadata;
  object["state"] = nlohmann::ordered_json::parse(to_json(state));
  return send_fd_to(spec.seccomp->listener_path, listener,
                    object.dump(-1, ' ', false, nlohmann::ordered_json::error_handler_t::replace));
}

Result<ExecProcess> exec_in_bundle(const BundleExecOptions& options) {
  const TraceScope trace("runtime.bundle.exec");
  TRY_VOID(check_preserved_fds(options.preserve_fds));
  TRY_VOID(check_console(options.process, options.console_socket, options.detached));
  SpecFilter filter;
  if (options.filter) {
    filter = *options.filter;
  } else {
    TRY(filter, filter_of(*options.spec, options.seccomp_cache));
  }
  ExecOptions exec;
  exec.refuse_paused = options.refuse_paused;
  if (options.refuse_paused && !options.sub_cgroups.empty()) {
    // A cgroup below need not tell what holds all of them.
    TRY(const bool frozen, cgroup_frozen(options.cgroup.path));
    if (frozen) return container_paused();
  }
  exec.init_pid = options.init_pid;
  exec.init_start_time = options.init_start_time;
  exec.cgroups_path = options.cgroup.path;
  exec.sub_cgroups = options.sub_cgroups;
  exec.process = options.process;
  exec.stdio = {0, 1, 2};
  exec.seccomp_filter = filter.program;
  exec.personality = options.spec->personality;
  exec.memory_policy = options.spec->memory_policy;
  exec.bundle = bundle_part(options.preserve_fds, options.no_new_keyring, options.detached, filter);
  HookState told{.oci_version = options.spec->oci_version,
                 .id = options.id,
                 .status = "running",
                 .pid = options.init_pid,
                 .bundle = options.bundle,
                 .annotations = &options.spec->annotations};
  exec.take_listener = [&](sys::Fd listener, pid_t pid) {
    return pass_listener(listener.get(), pid, *options.spec, told);
  };
  TRY(ExecProcess process, ExecProcess::start(exec));
  // The program runs: what cannot be handed out ends it again.
  auto hand_out = [&]() -> Result<void> {
    TRY(sys::Fd console, pass_console(process.take_console(), options.console_socket));
    process.give_console(std::move(console));
    return pass_pidfd(process.pidfd(), options.pidfd_socket);
  };
  Result<void> handed = hand_out();
  if (handed) return process;
  [[maybe_unused]] const Result<void> killed = sys::signal_process(process.pidfd(), SIGKILL);
  [[maybe_unused]] const auto reaped = process.reap();
  return Error(std::move(handed.error()));
}

Result<void> update_cgroup(const CgroupPlace& place, const oci::Resources& resources,
                           std::vector<std::string>& warnings) {
  TRY(const Cgroup cgroup, Cgroup::find(place.path));
  TRY_VOID(cgroup.apply(resources, warnings));
  if (place.unit.empty()) return {};
  TRY(SystemdScopes systemd, SystemdScopes::open());
  TRY(const bool v2, only_version_2());
  return systemd.set(place.unit, unit_properties(resources, v2));
}

Result<void> start_unit(const CgroupPlace& place, const oci::Resources& resources, pid_t pid) {
  TRY(SystemdScopes systemd, SystemdScopes::open());
  TRY(const bool v2, only_version_2());
  return systemd.start(place.unit, place.slice(), pid, unit_properties(resources, v2));
}

Result<void> stop_unit(const CgroupPlace& place) {
  if (place.unit.empty()) return {};
  TRY(SystemdScopes systemd, SystemdScopes::open());
  return systemd.stop(place.unit);
}

Result<CgroupStats> cgroup_stats(const CgroupPlace& place) {
  return read_cgroup_stats(place.path);
}

Result<std::vector<pid_t>> cgroup_processes_of(const CgroupPlace& place) {
  if (place.path.empty()) return std::vector<pid_t>{};
  const Result<Cgroup> cgroup = Cgroup::find(place.path);
  if (!cgroup) {
    if (cgroup.error().kind() == ErrorKind::kNotFound) return std::vector<pid_t>{};
    return Error(cgroup.error());
  }
  TRY(const std::set<pid_t> all, cgroup->processes());
  return std::vector<pid_t>(all.begin(), all.end());
}

Result<void> signal_cgroup(const CgroupPlace& place, int signal) {
  TRY(const std::vector<pid_t> processes, cgroup_processes_of(place));
  for (pid_t pid : processes) {
    const sys::Fd pidfd(static_cast<int>(::syscall(SYS_pidfd_open, pid, 0)));
    if (!pidfd) continue;
    // The number may have been given to another process between the list and the pidfd.
    TRY(const std::vector<pid_t> again, cgroup_processes_of(place));
    if (!std::ranges::binary_search(again, pid)) continue;
    const Result<void> sent = sys::signal_process(pidfd.get(), signal);
    if (!sent && sent.error().errnum() != ESRCH) return Error(sent.error());
  }
  return {};
}

}  // namespace wherry::runtime
