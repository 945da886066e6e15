#include "runtime/container.h"

#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <unistd.h>

#include "base/failpoint.h"
#include "base/scope.h"
#include "base/trace.h"
#include "runtime/cgroup.h"
#include "runtime/child_guard.h"
#include "runtime/create_plan.h"
#include "runtime/hooks.h"
#include "runtime/init.h"
#include "runtime/user_namespace.h"
#include "sys/clone.h"
#include "sys/link_move.h"
#include "sys/mount.h"
#include "sys/process.h"
#include "sys/rtnetlink.h"

namespace wherry::runtime {
namespace {

// How long what is left in a cgroup may take to die of SIGKILL.
constexpr int kKillTimeoutMs = 10000;

Result<void> destroy_cgroup(std::optional<Cgroup>& cgroup) {
  if (!cgroup) return {};
  TRY_VOID(failpoint("runtime.destroy"));
  TRY_VOID(cgroup->destroy(kKillTimeoutMs));
  cgroup.reset();
  return {};
}

// The error with what its undoing could not do beside it.
Error with_undo(Error cause, const Result<void>& undo) {
  if (undo) return cause;
  Error both(cause.kind(), cause.message() + " (and afterwards: " + undo.error().message() + ")");
  both.set_hint(cause.hint());
  return std::move(both).set_errnum(cause.errnum());
}

}  // namespace

struct Container::State {
  std::optional<Cgroup> cgroup;
  pid_t pid = 0;
  uint64_t start_time = 0;
  sys::Fd pidfd;
  Channel channel;
  sys::Fd console;
  sys::Fd holder;  // of make_scope's placeholder
  std::vector<std::string> warnings;
  bool permitted = false;
  bool reaped = false;

  // The steps of create(), in their order.
  Result<void> make_cgroup(const CreateOptions& options);
  Result<void> make_scope(const CreateOptions& options);
  void end_holder();
  Result<InitPlan> open_host_side(const CreateOptions& options, const CreatePlan& plan);
  Result<void> await_permit(InitPlan& init);
  Result<void> clone_init(InitPlan& init);
  Result<void> prepare_mapped_child(const InitPlan& init);
  Result<sys::Fd> open_network(const InitPlan& init) const;
  Result<void> link_network(const InitPlan& init);
  Result<void> run_runtime_hooks(const CreateOptions& options);
  Result<void> let_go();
  Result<void> hear_init(const CreateOptions& options);

  void blame_memory(Error& error) const;
  Result<void> undo();
};

// A process that waits for its end, as the first inhabitant of a scope: systemd makes a cgroup
// around processes only, and the init is to be born into it.
Result<void> Container::State::make_scope(const CreateOptions& options) {
  TRY(sys::Cloned placeholder, sys::clone_process({}));
  if (placeholder.pid == 0) {
    [[maybe_unused]] const Result<void> bound = sys::die_with_parent();
    for (;;) pause();
  }
  holder = std::move(placeholder.pidfd);
  TRY_VOID(options.bundle.make_scope(placeholder.pid));
  TRY(cgroup, Cgroup::adopt(options.spec->cgroups_path, options.spec->resources, warnings));
  return failpoint("runtime.create.scope");
}

void Container::State::end_holder() {
  if (holder) kill_and_reap(holder.get());
  holder.reset();
}

Result<void> Container::State::make_cgroup(const CreateOptions& options) {
  TraceScope trace("runtime.cgroup");
  const oci::RuntimeSpec& spec = *options.spec;
  if (spec.cgroups_path.empty()) return {};
  if (options.bundle.make_scope) return make_scope(options);
  std::unique_ptr<Cgroup> made =
      options.cgroup != nullptr ? options.cgroup->take(spec.cgroups_path) : nullptr;
  TRY_CTX(cgroup,
          made ? Cgroup::limit(std::move(*made), spec.resources, warnings)
               : Cgroup::create(spec.cgroups_path, spec.resources, warnings),
          "cannot make the cgroup");
  return failpoint("runtime.create.cgroup");
}

Result<InitPlan> Container::State::open_host_side(const CreateOptions& options,
                                                  const CreatePlan& plan) {
  TraceScope trace("runtime.root");
  InitPlan init;
  init.options = &options;
  init.plan = &plan;
  init.cgroup = cgroup ? &*cgroup : nullptr;
  TRY(init.root, PreparedRoot::prepare(options.root, plan.root_propagation));
  bool host_view = !plan.namespaces.has(CLONE_NEWCGROUP);
  TRY(init.sources, open_sources(plan.mounts, init.cgroup, host_view));
  for (const JoinedNamespace& joined : plan.namespaces.joined) {
    TRY_CTX(sys::Fd fd, sys::open_file(joined.path, O_RDONLY), "cannot join a namespace");
    init.joined.emplace_back(joined.type, std::move(fd));
  }
  if (plan.namespaces.has(CLONE_NEWUSER)) {
    TRY(init.host_devices, open_host_devices(plan.devices));
    TRY(init.host_null, sys::clone_mount_of("/dev/null", false));
    TRY_VOID(sys::change_mount(init.host_null.get(), {.propagation = MS_PRIVATE}, false));
  }
  TRY_VOID(failpoint("runtime.create.root"));
  return init;
}

Result<void> Container::State::await_permit(InitPlan& init) {
  if (!init.options->permit) return {};
  TraceScope trace("runtime.permit");
  TRY(sys::Fd network, init.options->permit());
  permitted = true;
  const NamespacePlan& namespaces = init.plan->namespaces;
  init.network_made =
      network && namespaces.is_fresh(CLONE_NEWNET) && !namespaces.has(CLONE_NEWUSER);
  if (init.network_made) init.joined.emplace_back(CLONE_NEWNET, std::move(network));
  return failpoint("runtime.create.permitted");
}

Result<void> Container::State::clone_init(InitPlan& init) {
  TraceScope trace("runtime.clone");
  TRY_VOID(ensure_standard_fds());
  TRY(ChannelPair channels, make_channel_pair());
  std::optional<TimeNamespaceForChildren> time_namespace;
  if (init.plan->namespaces.is_fresh(CLONE_NEWTIME)) {
    TRY(time_namespace, TimeNamespaceForChildren::make(init.options->spec->time_offsets));
  }
  TRY(sys::Cloned cloned, clone_into_namespaces(init, cgroup ? cgroup->v2_fd() : -1, channels));
  pid = cloned.pid;
  pidfd = std::move(cloned.pidfd);
  channel = std::move(channels.parent);
  TRY_VOID(failpoint("runtime.create.cloned"));
  std::optional<uint64_t> began = sys::process_start_time(pid);
  if (!began) return Error(ErrorKind::kInternal, "cannot read the start time of the container");
  start_time = *began;
  if (init.plan->namespaces.has(CLONE_NEWUSER)) return prepare_mapped_child(init);
  return {};
}

// What a child in a user namespace may no longer do for itself.
Result<void> Container::State::prepare_mapped_child(const InitPlan& init) {
  const ProcessPlan& process = init.plan->process;
  TRY_VOID(set_limits(pid, process.limits, warnings));
  if (process.process->oom_score_adj) {
    TRY(const sys::Fd proc, sys::open_file("/proc", O_PATH | O_DIRECTORY));
    TRY_VOID(
        set_oom_score(proc.get(), std::to_string(pid), *process.process->oom_score_adj, warnings));
  }
  const oci::RuntimeSpec& spec = *init.options->spec;
  if (init.plan->namespaces.is_fresh(CLONE_NEWUSER))
    TRY_VOID(map_users(pid, spec.uid_mappings, spec.gid_mappings));
  TRY_VOID(failpoint("runtime.create.mapped"));
  return channel.send(MessageType::kUsersMapped);
}

// Not the child's where it joins one: it may not have entered it yet.
Result<sys::Fd> Container::State::open_network(const InitPlan& init) const {
  for (const auto& [type, fd] : init.joined)
    if (type == CLONE_NEWNET) return fd.dup();
  return sys::open_file("/proc/" + std::to_string(pid) + "/ns/net", O_RDONLY);
}

Result<void> Container::State::link_network(const InitPlan& init) {
  const CreateOptions& options = *init.options;
  const CreatePlan& plan = *init.plan;
  if (!options.link && plan.net_devices.empty()) return {};
  TraceScope trace("runtime.link");
  TRY(const sys::Fd netns, open_network(init));
  if (options.link)
    TRY_VOID_CTX(sys::create_veth(*options.link, netns.get()), "cannot connect the network");
  for (const auto& [name, inside] : plan.net_devices)
    TRY_VOID(sys::move_link(name, inside, netns.get()));
  TRY_VOID(failpoint("runtime.create.linked"));
  return channel.send(MessageType::kLinkReady);
}

Result<void> Container::State::run_runtime_hooks(const CreateOptions& options) {
  const oci::Hooks& hooks = options.spec->hooks;
  HookState told = *options.bundle.hooks;
  told.status = "creating";
  told.pid = pid;
  TRY_VOID(run_hooks("prestart", hooks.prestart, told));
  TRY_VOID(run_hooks("createRuntime", hooks.create_runtime, told));
  return failpoint("runtime.create.hooks");
}

Result<void> Container::State::let_go() {
  return permitted ? channel.send(MessageType::kStart) : Result<void>();
}

Result<void> Container::State::hear_init(const CreateOptions& options) {
  TraceScope trace("runtime.wait_ready");
  TRY(StageReport report, hear_until_ready(channel, [&](MessageType wish) -> Result<void> {
        if (wish != MessageType::kHooks)
          return Error(ErrorKind::kInternal, "unexpected wish of the container's first stage");
        TRY_VOID(run_runtime_hooks(options));
        return channel.send(MessageType::kHooksDone);
      }));
  console = std::move(report.console);
  for (std::string& warning : report.warnings) warnings.push_back(std::move(warning));
  return failpoint("runtime.create.ready");
}

// Whom the kernel kills for want of memory leaves no word behind.
void Container::State::blame_memory(Error& error) const {
  if (!cgroup) return;
  const Result<bool> killed = cgroup->oom_killed();
  if (!killed || !*killed) return;
  error = Error(ErrorKind::kResourceExhausted,
                "the container's first process ran out of memory before it was ready");
  error.set_hint("the limit of memory may be too low");
}

// Kills and forgets in the reverse order of the steps. Mounts and links have no step of their own:
// they go with the namespaces of the init.
Result<void> Container::State::undo() {
  channel.close();
  end_holder();
  if (pidfd && !reaped) {
    kill_and_reap(pidfd.get());
    reaped = true;
  }
  return destroy_cgroup(cgroup);
}

Result<Container> Container::create(const CreateOptions& options) {
  TraceScope trace("runtime.create");
  TRY(CreatePlan plan, plan_create(options));
  TRY_VOID(failpoint("runtime.create.planned"));
  auto state = std::make_unique<State>();
  auto build = [&]() -> Result<void> {
    TRY_VOID(state->make_cgroup(options));
    TRY(InitPlan init, state->open_host_side(options, plan));
    TRY_VOID(state->await_permit(init));
    TRY_VOID(state->clone_init(init));
    Result<void> linked = state->link_network(init);
    // An init that is gone has said why: its word is the cause, the missing namespace a
    // consequence.
    if (!linked && !state->channel.peer_gone()) return linked;
    // The last word to the init: before it asks where nothing comes between.
    const bool nothing_between = !options.link && options.spec->hooks.prestart.empty() &&
                                 options.spec->hooks.create_runtime.empty();
    Result<void> gone = nothing_between ? state->let_go() : Result<void>();
    if (!gone && !state->channel.peer_gone()) return gone;
    if (options.meanwhile) TRY_VOID(options.meanwhile());
    TRY_VOID(state->hear_init(options));
    // The init has brought its end up: its first packet must not be lost.
    if (options.link) TRY_VOID_CTX(sys::settle_link(*options.link), "cannot connect the network");
    return nothing_between ? Result<void>() : state->let_go();
  };
  Result<void> built = build();
  state->end_holder();
  if (!built) state->blame_memory(built.error());
  if (!built) return with_undo(std::move(built.error()), state->undo());
  return Container(std::move(state));
}

Result<void> Container::start() {
  TraceScope trace("runtime.start");
  auto run = [&]() -> Result<void> {
    TRY_VOID(failpoint("runtime.start"));
    return state_->permitted ? hear_execve(state_->channel) : start_stage(state_->channel);
  };
  Result<void> started = run();
  if (!started) return with_undo(std::move(started.error()), state_->undo());
  state_->channel.close();
  return {};
}

Result<Container::Exit> Container::reap() {
  TRY(Exit exit, reap_process(state_->pidfd.get()));
  state_->reaped = true;
  if (state_->cgroup) {
    TRY(exit.oom_killed, state_->cgroup->oom_killed());
  }
  return exit;
}

Result<void> Container::destroy() {
  return state_->undo();
}

Container::Container(std::unique_ptr<State> state) : state_(std::move(state)) {}
Container::Container(Container&&) noexcept = default;
Container& Container::operator=(Container&&) noexcept = default;
Container::~Container() = default;

pid_t Container::pid() const {
  return state_->pid;
}
uint64_t Container::start_time() const {
  return state_->start_time;
}
int Container::pidfd() const {
  return state_->pidfd.get();
}
sys::Fd Container::take_console() {
  return std::move(state_->console);
}
const std::vector<std::string>& Container::warnings() const {
  return state_->warnings;
}

}  // namespace wherry::runtime
