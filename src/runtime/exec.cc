#include <poll.h>
#include <sched.h>
#include <sys/prctl.h>
#include <unistd.h>

#include <cerrno>

#include "base/failpoint.h"
#include "base/scope.h"
#include "base/trace.h"
#include "base/weaken.h"
#include "runtime/cgroup.h"
#include "runtime/child_guard.h"
#include "runtime/container.h"
#include "runtime/create_plan.h"
#include "runtime/process_stage.h"
#include "runtime/user_namespace.h"
#include "sys/clone.h"
#include "sys/process.h"

namespace wherry::runtime {
namespace {

constexpr int kNamespaces =
    CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID | CLONE_NEWCGROUP;

struct Joiner {
  const ProcessPlan* plan = nullptr;
  const Cgroup* cgroup = nullptr;  // null: the container has none
  int init_pidfd = -1;
  int namespaces = kNamespaces;  // and those of users and time that are not ours already
};

Error not_running(const Error& error) {
  return Error(ErrorKind::kConflict, "the container is not running").set_errnum(error.errnum());
}

// What fails because the init ends just then says so, whatever the kernel has called it: a process
// cannot be cloned into its pid namespace (ENOMEM), its namespaces cannot be joined (ESRCH).
template <typename T>
Result<T> unless_ended(Result<T> result, int init_pidfd) {
  if (result) return result;
  pollfd init{init_pidfd, POLLIN, 0};
  if (poll(&init, 1, 0) > 0) return not_running(result.error());
  return result;
}

// Into the container: version 1 cgroups first, by fds opened on the host, then all namespaces at
// once.
Result<sys::Fd> join_container(const Joiner& joiner, ChannelPair& channels) {
  TRY_VOID(begin_child(channels, joiner.plan->bundle.outlive_creator));
  TRY_VOID(set_processors(joiner.plan->traits.initial_cpus));
  if (joiner.cgroup != nullptr) TRY_VOID(joiner.cgroup->attach_self());
  TRY_VOID(set_processors(joiner.plan->traits.final_cpus));
  if (joiner.plan->limits_by_parent) {
    // Now, because the user namespace takes the right away.
    Warnings warnings;
    TRY_VOID(set_limits(0, joiner.plan->limits, warnings));
    for (const std::string& warning : warnings)
      TRY_VOID(channels.child.send(MessageType::kWarning, warning));
  }
  if (setns(joiner.init_pidfd, joiner.namespaces) != 0)
    return Error::from_errno(errno, "cannot join the container's namespaces");
  if ((joiner.namespaces & CLONE_NEWUSER) != 0) TRY_VOID(become_root());
  TRY_VOID(failpoint("runtime.exec.joined"));
  return sys::open_file("/", O_PATH | O_DIRECTORY);
}

Error stage(const Joiner& joiner, ChannelPair& channels) {
  Result<sys::Fd> root = join_container(joiner, channels);
  if (!root) return std::move(root.error());
  return run_program(*joiner.plan, Role::kJoined, std::move(*root), sys::Fd(), channels.child);
}

struct Joined {
  pid_t pid = 0;
  sys::Fd pidfd;
  Channel channel;
};

// One fork: the child is born in the container's pid namespace and version 2 cgroup, and
// untraceable from its first instruction, since the container's processes can see it at once
// (CVE-2016-9962).
Result<Joined> clone_joiner(const Joiner& joiner) {
  TRY_VOID(ensure_standard_fds());
  TRY(ChannelPair channels, make_channel_pair());
  TRY(PidNamespaceForChildren pid_namespace, PidNamespaceForChildren::enter(joiner.init_pidfd));
  int dumpable = prctl(PR_GET_DUMPABLE, 0, 0, 0, 0);
  if (!weakened(Defence::kDumpable) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot become untraceable");
  auto restore = on_exit([&] { prctl(PR_SET_DUMPABLE, dumpable == 1 ? 1 : 0, 0, 0, 0); });
  sys::CloneOptions clone;
  if (joiner.cgroup != nullptr) clone.cgroup_fd = joiner.cgroup->v2_fd();
  TRY(sys::Cloned cloned, sys::clone_process(clone));
  if (cloned.pid == 0) run_child(channels.child, [&] { return stage(joiner, channels); });
  return Joined{cloned.pid, std::move(cloned.pidfd), std::move(channels.parent)};
}

// The container's cgroup, or none when it was made without.
Result<std::optional<Cgroup>> open_cgroup(const std::string& path, const SubCgroups& below) {
  if (path.empty() && !below.empty())
    return Error(ErrorKind::kInvalidArgument, "the container was made without a cgroup");
  if (path.empty()) return std::nullopt;
  TRY(Cgroup cgroup, Cgroup::open(path, below));
  return std::optional<Cgroup>(std::move(cgroup));
}

Result<void> check_not_paused(const std::optional<Cgroup>& cgroup) {
  if (!cgroup) return {};
  TRY(bool frozen, cgroup->frozen());
  return frozen ? Result<void>(container_paused()) : Result<void>();
}

}  // namespace

Error container_paused() {
  return Error(ErrorKind::kConflict,
               "cannot exec in a paused container (use --ignore-paused to override)");
}

Result<ExecProcess> ExecProcess::start(const ExecOptions& options) {
  TraceScope trace("runtime.exec");
  TRY(ProcessPlan plan, plan_process(options.process, options.seccomp_filter));
  plan.user = options.user;
  plan.stdio = options.stdio;
  plan.bundle = options.bundle;
  TRY(plan.traits.personality, plan_personality(options.personality));
  TRY(plan.traits.memory_policy, plan_memory_policy(options.memory_policy));
  Result<sys::Fd> init = sys::open_process(options.init_pid, options.init_start_time);
  if (!init) return not_running(init.error());
  TRY(std::optional<Cgroup> cgroup, open_cgroup(options.cgroups_path, options.sub_cgroups));
  if (options.refuse_paused) TRY_VOID(check_not_paused(cgroup));
  Joiner joiner{&plan, cgroup ? &*cgroup : nullptr, init->get()};
  for (const auto& [name, type] :
       {std::pair{"user", CLONE_NEWUSER}, std::pair{"time", CLONE_NEWTIME}}) {
    Result<bool> other = in_other_namespace(options.init_pid, name);
    const bool ended =
        !other && (other.error().errnum() == ENOENT || other.error().errnum() == ESRCH);
    if (ended) return not_running(other.error());
    if (!other) return std::move(other.error());
    if (*other) joiner.namespaces |= type;
  }
  plan.limits_by_parent = (joiner.namespaces & CLONE_NEWUSER) != 0;
  TRY(Joined joined, unless_ended(clone_joiner(joiner), init->get()));
  auto undo = on_exit([&] { kill_and_reap(joined.pidfd.get()); });
  TRY_VOID(failpoint("runtime.exec.cloned"));
  Warnings warnings;
  if (plan.limits_by_parent && options.process.oom_score_adj) {
    TRY(const sys::Fd proc, sys::open_file("/proc", O_PATH | O_DIRECTORY));
    TRY_VOID(set_oom_score(proc.get(), std::to_string(joined.pid), *options.process.oom_score_adj,
                           warnings));
  }
  TRY(StageReport report, unless_ended(hear_until_ready(joined.channel), init->get()));
  TRY_VOID(start_stage(joined.channel, [&](int number) -> Result<void> {
    TRY(sys::Fd listener, fetch_fd(joined.pidfd.get(), number));
    return options.take_listener(std::move(listener), joined.pid);
  }));
  undo.release();
  ExecProcess process;
  process.pid_ = joined.pid;
  process.pidfd_ = std::move(joined.pidfd);
  process.console_ = std::move(report.console);
  process.warnings_ = std::move(report.warnings);
  process.warnings_.insert(process.warnings_.end(), warnings.begin(), warnings.end());
  return process;
}

Result<Container::Exit> ExecProcess::reap() {
  return reap_process(pidfd_.get());
}

}  // namespace wherry::runtime
