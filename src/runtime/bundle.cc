#include "runtime/bundle.h"

#include <fcntl.h>
#include <poll.h>
#include <signal.h>
#include <stdlib.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "runtime/bundle_parts.h"
#include "runtime/bundle_sockets.h"
#include "runtime/cgroup.h"
#include "runtime/cgroup_files.h"
#include "runtime/child_guard.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

constexpr int kKillTimeoutMs = 10'000;
constexpr const char* kNotifyDirectory = "/run/notify";

Error invalid(std::string message) {
  return Error(ErrorKind::kInvalidArgument, std::move(message));
}

Result<std::string> find_rootfs(const std::string& bundle, const std::string& root_path) {
  if (root_path.empty()) return invalid("the configuration names no root.path");
  const std::string path = root_path.starts_with('/') ? root_path : bundle + "/" + root_path;
  const std::unique_ptr<char, void (*)(void*)> resolved(::realpath(path.c_str(), nullptr), ::free);
  if (!resolved) return Error::from_errno(errno, "cannot use the root '" + path + "'");
  return std::string(resolved.get());
}

// The caller relays a socket of its own; the container finds it where systemd's libraries look.
void add_notify(oci::RuntimeSpec& spec, const std::string& state_dir) {
  spec.mounts.push_back({kNotifyDirectory,
                         "bind",
                         state_dir + "/notify",
                         {"bind", "nosuid", "noexec", "nodev", "rprivate"}});
  std::erase_if(spec.process.env,
                [](const std::string& entry) { return entry.starts_with("NOTIFY_SOCKET="); });
  spec.process.env.push_back(std::string("NOTIFY_SOCKET=") + kNotifyDirectory + "/notify.sock");
}

// Sources of binds may be relative to the bundle, and old configurations have destinations without
// their slash.
void complete_paths(oci::RuntimeSpec& spec, const std::string& bundle) {
  for (oci::Mount& mount : spec.mounts) {
    const bool bind = mount.type == "bind" || std::ranges::any_of(mount.options, [](auto& option) {
                        return option == "bind" || option == "rbind";
                      });
    if (bind && !mount.source.empty() && mount.source[0] != '/')
      mount.source = bundle + "/" + mount.source;
    if (!mount.destination.empty() && mount.destination[0] != '/') mount.destination.insert(0, "/");
  }
}

// The devices that every container has may be used whatever the rules say, as may making nodes; a
// configuration without rules denies all others.
void complete_device_rules(std::vector<oci::DeviceRule>& rules) {
  if (rules.empty()) rules.push_back({.allow = false, .type = 'a'});
  struct Default {
    std::optional<int64_t> major, minor;
  };
  constexpr Default kDevices[] = {
      {1, 3}, {1, 5}, {1, 7}, {1, 8}, {1, 9}, {5, 0}, {5, 1}, {5, 2}, {136, std::nullopt}};
  for (char type : {'c', 'b'}) rules.push_back({.allow = true, .type = type, .access = "m"});
  for (const Default& device : kDevices)
    rules.push_back({.allow = true, .type = 'c', .major = device.major, .minor = device.minor});
}

HookState hook_state(const oci::RuntimeSpec& spec, const std::string& id,
                     const std::string& bundle) {
  return {.oci_version = spec.oci_version,
          .id = id,
          .status = {},
          .pid = 0,
          .bundle = bundle,
          .directory = bundle,
          .annotations = &spec.annotations};
}

bool is_gone(const Error& error) {
  return error.kind() == ErrorKind::kNotFound || error.kind() == ErrorKind::kConflict;
}

// Waits for the end of a process that need not be our child.
Result<void> wait_gone(int pidfd) {
  const int64_t deadline = monotonic_ns() + int64_t{kKillTimeoutMs} * 1'000'000;
  TRY(const bool ended, wait_processes({pidfd}, deadline));
  if (ended) return {};
  return Error(ErrorKind::kUnavailable, "the container's init does not die");
}

Result<void> kill_init(pid_t pid, uint64_t start_time) {
  const Result<sys::Fd> init = sys::open_process(pid, start_time);
  if (!init) {
    if (is_gone(init.error())) return {};
    return Error(init.error());
  }
  const Result<void> killed = sys::signal_process(init->get(), SIGKILL);
  if (!killed && killed.error().errnum() != ESRCH) return Error(killed.error());
  return wait_gone(init->get());
}

}  // namespace

struct BundleContainer::State {
  oci::RuntimeSpec spec;  // as it is applied
  std::string id, bundle, state_dir, rootfs;
  CgroupPlace cgroup;
  HookState hooks;
  SpecFilter filter;
  std::optional<Container> container;
  std::vector<std::string> warnings;
  sys::Fd console;

  Result<void> prepare(const BundleOptions& options);
  Result<void> create(const BundleOptions& options);
  Result<void> hand_out(const BundleOptions& options);
  Result<void> undo();
  StartOptions start_options() const;
};

Result<void> BundleContainer::State::prepare(const BundleOptions& options) {
  spec = *options.spec;
  id = options.id;
  bundle = options.bundle;
  state_dir = options.state_dir;
  TRY_VOID(check_preserved_fds(options.preserve_fds));
  TRY_VOID(check_console(spec.process, options.console_socket, options.detached));
  TRY(rootfs, find_rootfs(bundle, spec.root_path));
  TRY(cgroup, place_of_cgroup(spec.cgroups_path, id, options.cgroup_driver));
  spec.cgroups_path = cgroup.path;
  complete_paths(spec, bundle);
  complete_device_rules(spec.resources.devices);
  if (options.notify) add_notify(spec, state_dir);
  TRY(filter, filter_of(spec, options.seccomp_cache));
  hooks = hook_state(spec, id, bundle);
  return {};
}

Result<void> BundleContainer::State::create(const BundleOptions& options) {
  TRY(const sys::Fd listener, make_start_socket(state_dir));
  CreateOptions create;
  create.spec = &spec;
  create.root.directory = rootfs;
  create.create_cwd = true;  // as runc and crun do
  create.stdio = {0, 1, 2};
  create.seccomp_filter = filter.program;
  create.bundle =
      bundle_part(options.preserve_fds, options.no_new_keyring, options.detached, filter);
  create.bundle.start_socket = listener.get();
  create.bundle.no_pivot = options.no_pivot;
  if (!cgroup.unit.empty())
    create.bundle.make_scope = [this](pid_t pid) {
      return start_unit(cgroup, spec.resources, pid);
    };
  create.bundle.hooks = &hooks;
  TRY(container, Container::create(create));
  for (const std::string& warning : container->warnings()) warnings.push_back(warning);
  return failpoint("runtime.bundle.created");
}

Result<void> BundleContainer::State::hand_out(const BundleOptions& options) {
  TRY(console, pass_console(container->take_console(), options.console_socket));
  return pass_pidfd(container->pidfd(), options.pidfd_socket);
}

// Everything that create() made; the poststop hooks belong to it.
Result<void> BundleContainer::State::undo() {
  remove_start_socket(state_dir);
  Result<void> destroyed;
  if (container) destroyed = container->destroy();
  const Result<void> stopped = stop_unit(cgroup);
  if (!stopped) warnings.push_back(stopped.error().message());
  HookState told = hooks;
  told.status = "stopped";
  run_all_hooks("poststop", spec.hooks.poststop, told, warnings);
  return destroyed;
}

StartOptions BundleContainer::State::start_options() const {
  return {&spec, id, bundle, state_dir, container->pid(), container->start_time()};
}

Result<BundleContainer> BundleContainer::create(const BundleOptions& options) {
  const TraceScope trace("runtime.bundle.create");
  auto state = std::make_unique<State>();
  TRY_VOID(state->prepare(options));
  Result<void> created = state->create(options);
  if (created) created = state->hand_out(options);
  if (created) return BundleContainer(std::move(state));
  const Result<void> undone = state->undo();
  if (undone) return Error(std::move(created.error()));
  return Error(created.error().kind(),
               created.error().message() + " (and afterwards: " + undone.error().message() + ")");
}

BundleContainer::BundleContainer(std::unique_ptr<State> state) : state_(std::move(state)) {}
BundleContainer::BundleContainer(BundleContainer&&) noexcept = default;
BundleContainer& BundleContainer::operator=(BundleContainer&&) noexcept = default;
BundleContainer::~BundleContainer() = default;

pid_t BundleContainer::pid() const {
  return state_->container->pid();
}
uint64_t BundleContainer::start_time() const {
  return state_->container->start_time();
}
int BundleContainer::pidfd() const {
  return state_->container->pidfd();
}
const CgroupPlace& BundleContainer::cgroup() const {
  return state_->cgroup;
}
const std::string& BundleContainer::rootfs() const {
  return state_->rootfs;
}
const std::vector<std::string>& BundleContainer::warnings() const {
  return state_->warnings;
}
sys::Fd BundleContainer::take_console() {
  return std::move(state_->console);
}

Result<void> BundleContainer::start() {
  return start_created(state_->start_options());
}
Result<Container::Exit> BundleContainer::reap() {
  return state_->container->reap();
}
Result<void> BundleContainer::destroy() {
  remove_start_socket(state_->state_dir);
  TRY_VOID(state_->container->destroy());
  return stop_unit(state_->cgroup);
}

Result<void> start_created(const StartOptions& options) {
  const TraceScope trace("runtime.bundle.start");
  TRY(sys::Fd connection, connect_start_socket(options.state_dir));
  Result<sys::Fd> init = sys::open_process(options.init_pid, options.init_start_time);
  if (!init) return Error(ErrorKind::kConflict, "the container's init is gone");
  Channel channel{std::move(connection)};
  HookState told = hook_state(*options.spec, options.id, options.bundle);
  told.pid = options.init_pid;
  told.status = "created";
  TRY_VOID(start_waiting_stage(channel, [&](int number) -> Result<void> {
    TRY(const sys::Fd listener, fetch_fd(init->get(), number));
    return pass_listener(listener.get(), options.init_pid, *options.spec, told);
  }));
  remove_start_socket(options.state_dir);
  told.status = "running";
  Result<void> hooked = run_hooks("poststart", options.spec->hooks.poststart, told);
  if (hooked) return {};
  [[maybe_unused]] const Result<void> killed = sys::signal_process(init->get(), SIGKILL);
  return hooked;
}

Result<void> destroy_created(pid_t init, uint64_t start_time, const CgroupPlace& place) {
  // There may have been none: a create that was killed before.
  if (init > 0) TRY_VOID(kill_init(init, start_time));
  if (place.path.empty()) return {};
  const Result<Cgroup> cgroup = Cgroup::find(place.path);
  if (cgroup) TRY_VOID(cgroup->destroy(kKillTimeoutMs));
  if (!cgroup && cgroup.error().kind() != ErrorKind::kNotFound) return Error(cgroup.error());
  return stop_unit(place);
}

}  // namespace wherry::runtime
