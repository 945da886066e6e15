#include "runtime/process_stage.h"

#include <linux/capability.h>
#include <linux/keyctl.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <algorithm>
#include <array>
#include <cerrno>

#include "base/failpoint.h"
#include "base/trace.h"
#include "base/weaken.h"
#include "runtime/console.h"
#include "runtime/hooks.h"
#include "runtime/program_path.h"
#include "runtime/targets.h"
#include "runtime/users.h"
#include "sys/clone.h"
#include "sys/mount.h"

namespace wherry::runtime {
namespace {

constexpr uint64_t kSysAdmin = uint64_t{1} << CAP_SYS_ADMIN;
constexpr mode_t kDefaultUmask = 0022;

struct Resolved {
  Identity identity;
  std::vector<std::string> environment;
};

Error parent_gone() {
  return Error(ErrorKind::kUnavailable, "the container's monitor is gone");
}

void reset_signals() {
  for (int number = 1; number < NSIG; ++number) {
    struct sigaction current{};
    if (sigaction(number, nullptr, &current) != 0 || current.sa_handler == SIG_DFL) continue;
    current.sa_handler = SIG_DFL;
    sigaction(number, &current, nullptr);
  }
  sigset_t none;
  sigemptyset(&none);
  sigprocmask(SIG_SETMASK, &none, nullptr);
}

// An empty one is none, as for runc: programs would look for their files in the directory they are
// in.
bool lacks_home(std::vector<std::string>& environment) {
  std::erase(environment, "HOME=");
  return std::ranges::none_of(environment,
                              [](const std::string& entry) { return entry.starts_with("HOME="); });
}

Result<Resolved> resolve_identity(const ProcessPlan& plan, int root) {
  const oci::User& user = plan.process->user;
  Resolved resolved{{user.uid, user.gid, user.additional_gids}, plan.environment};
  if (weakened(Defence::kEnvironment))
    for (char** entry = environ; *entry != nullptr; ++entry)
      resolved.environment.emplace_back(*entry);
  const bool homeless = lacks_home(resolved.environment);
  if (!plan.user) {
    if (homeless) resolved.environment.push_back("HOME=" + home_of(root, user.uid));
    return resolved;
  }
  TRY(ResolvedUser found, lookup_user(root, *plan.user));
  resolved.identity = {found.uid, found.gid, std::move(found.groups)};
  if (homeless) resolved.environment.push_back("HOME=" + found.home);
  return resolved;
}

Result<sys::Fd> open_null(int root) {
  TRY(sys::Fd null, sys::open_in_root(root, "/dev/null", O_RDWR | O_NOCTTY | O_NONBLOCK));
  if (is_null_device(null.get())) return null;
  return Error(ErrorKind::kInvalidArgument, "'/dev/null' is not the null device");
}

// What a program without input reads: a container may have done away with its null device, which
// must not keep anybody from looking inside by an exec. Nobody writes to this pipe.
Result<sys::Fd> open_empty(int root) {
  Result<sys::Fd> null = open_null(root);
  if (null) return null;
  TRY(sys::Pipe pipe, sys::make_pipe());
  return std::move(pipe.read);
}

// A user who is not root may open /dev/stdout again only when the pipe behind it is its own.
void give_pipe_to(int fd, uid_t owner) {
  struct stat status{};
  if (fstat(fd, &status) != 0 || !S_ISFIFO(status.st_mode) || status.st_uid == owner) return;
  // A pipe that may not change hands (a socket's peer, another user namespace) still works as it
  // is.
  [[maybe_unused]] int changed = fchown(fd, owner, static_cast<gid_t>(-1));
}

Result<void> connect_stdio(const Stdio& stdio, int root, uid_t owner) {
  // All copies first: the caller's fds may be 0, 1 and 2 in any order.
  std::array<sys::Fd, 3> copies;
  std::array<int, 3> given{stdio.in, stdio.out, stdio.err};
  for (size_t i = 0; i < copies.size(); ++i) {
    sys::Fd null;
    if (given[i] < 0) {
      TRY(null, i == 0 ? open_empty(root) : open_null(root));
      given[i] = null.get();
    } else if (is_null_device(given[i])) {
      // The container's own one where it has one: a checkpoint knows no file of the host's.
      Result<sys::Fd> own = open_null(root);
      if (own) {
        null = std::move(*own);
        given[i] = null.get();
      }
    }
    copies[i].reset(fcntl(given[i], F_DUPFD_CLOEXEC, 3));
    if (!copies[i]) return Error::from_errno(errno, "cannot connect the standard streams");
  }
  for (int i = 0; i < 3; ++i) {
    give_pipe_to(copies[static_cast<size_t>(i)].get(), owner);
    if (dup2(copies[static_cast<size_t>(i)].get(), i) < 0)
      return Error::from_errno(errno, "cannot connect the standard streams");
  }
  return {};
}

Result<void> connect_streams(const ProcessPlan& plan, Role role, int root, uid_t owner,
                             Channel& channel) {
  if (!plan.process->terminal) return connect_stdio(plan.stdio, root, owner);
  TRY(Terminal terminal,
      open_terminal(root, owner, plan.process->console_rows, plan.process->console_columns));
  if (role == Role::kInit) TRY_VOID(bind_console(root, terminal.slave.get()));
  TRY_VOID(channel.send_console(terminal.master.get()));
  return adopt_terminal(terminal.slave.get());
}

Result<void> enter_directory(const ProcessPlan& plan, int root) {
  std::string context = "cannot enter the working directory '" + plan.cwd + "'";
  if (weakened(Defence::kWorkingDirectory))
    return chdir(plan.cwd.c_str()) == 0 ? Result<void>() : Error::from_errno(errno, context);
  // O_PATH within the root and without magic links: "/proc/self/fd/7" leads nowhere.
  TRY_CTX(sys::Fd directory,
          open_target(root, plan.cwd, TargetKind::kDirectory, {.make = plan.create_cwd}), context);
  if (fchdir(directory.get()) != 0) return Error::from_errno(errno, context);
  char path[PATH_MAX];
  long size = syscall(SYS_getcwd, path, sizeof path);
  if (size < 0) return Error::from_errno(errno, context);
  if (path[0] != '/')
    return Error(ErrorKind::kPermissionDenied, context + ": it lies outside the container");
  return {};
}

Result<void> use_resources(const ProcessPlan& plan, sys::Fd& proc, Warnings& warnings) {
  TRY_VOID(apply_traits(plan.traits));
  if (!plan.limits_by_parent) TRY_VOID(set_limits(0, plan.limits, warnings));
  const bool scored = plan.process->oom_score_adj && !plan.limits_by_parent;
  const bool labelled = !plan.traits.apparmor_profile.empty() || !plan.traits.selinux_label.empty();
  if (!scored && !labelled) return {};
  if (!proc) {
    TRY(proc, private_proc());
  }
  if (labelled) TRY_VOID(label_next_exec(proc.get(), plan.traits));
  if (!scored) return {};
  return set_oom_score(proc.get(), "self", *plan.process->oom_score_adj, warnings);
}

// A session keyring of its own: the monitor's keys stay the monitor's. Kernels without keys have
// none to leak. With a label it is the process's; `proc` is open then.
Result<void> new_keyring(const ProcessPlan& plan, const sys::Fd& proc, Warnings& warnings) {
  if (!plan.traits.selinux_label.empty()) TRY_VOID(label_next_keys(proc.get(), plan.traits));
  if (syscall(SYS_keyctl, KEYCTL_JOIN_SESSION_KEYRING, nullptr) >= 0 || errno == ENOSYS ||
      errno == EPERM)
    return {};
  if (errno != EDQUOT) return Error::from_errno(errno, "cannot make a session keyring");
  warnings.push_back("no session keyring for the container: the quota of keys is used up");
  return {};
}

// What the process holds before execve. A user who is not root keeps only ambient capabilities,
// which is what execve would leave anyway: nothing on the way is done with more.
CapabilitySets held(const CapabilitySets& granted, uid_t uid) {
  CapabilitySets sets = granted;
  if (uid != 0) sets.effective = sets.permitted = granted.ambient & granted.permitted;
  return sets;
}

Result<void> drop_privileges(const ProcessPlan& plan, const Identity& identity,
                             CapabilitySets& sets, Warnings& warnings) {
  sets = plan.capabilities;
  TRY_VOID(clamp_capabilities(sets, warnings));
  sets = held(sets, identity.uid);
  TRY_VOID(switch_identity(identity, sets.bounding));
  bool needs_admin = !plan.process->no_new_privileges && !plan.seccomp_filter.empty();
  TRY_VOID(set_capabilities(sets, needs_admin ? kSysAdmin : 0));
  if (plan.process->no_new_privileges) TRY_VOID(forbid_new_privileges());
  // A change of ids clears the parent-death signal (prctl(2)).
  return plan.bundle.outlive_creator ? Result<void>() : sys::die_with_parent();
}

Result<void> send_warnings(const Warnings& warnings, Channel& channel) {
  for (const std::string& warning : warnings)
    TRY_VOID(channel.send(MessageType::kWarning, warning));
  return {};
}

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Closed now and not by the execve: "/proc/self/fd/7/../bin/sh" as a program or as an interpreter
// would walk through a directory of the host that is still open (CVE-2024-21626). The channel, a
// socket, leads nowhere. Owners of these numbers are never destroyed: the child ends by _exit.
Result<void> close_all_but(const ProcessPlan& plan, const Channel& channel) {
  if (weakened(Defence::kCloseFds)) return {};
  std::array<int, 2> kept{channel.fd(), plan.bundle.start_socket};
  std::ranges::sort(kept);
  unsigned next = 3 + plan.bundle.preserve_fds;
  for (int fd : kept) {
    if (fd < 0) continue;
    auto number = static_cast<unsigned>(fd);
    if (number > next && syscall(SYS_close_range, next, number - 1, 0U) != 0)
      return Error::from_errno(errno, "cannot close file descriptors");
    next = number + 1;
  }
  if (syscall(SYS_close_range, next, ~0U, 0U) != 0)
    return Error::from_errno(errno, "cannot close file descriptors");
  // What the caller hands on may have been opened close-on-exec.
  for (unsigned fd = 3; fd < 3 + plan.bundle.preserve_fds; ++fd)
    if (fcntl(static_cast<int>(fd), F_SETFD, 0) != 0)
      return Error::from_errno(errno, "cannot preserve file descriptor " + std::to_string(fd));
  return {};
}

// The start comes over a connection to the start socket, from another process than the creator;
// from then on that one is whom we speak to.
Result<void> wait_for_starter(const ProcessPlan& plan, Channel& channel) {
  channel.close();
  int connection = -1;
  do {
    connection = accept4(plan.bundle.start_socket, nullptr, nullptr, SOCK_CLOEXEC);
  } while (connection < 0 && (errno == EINTR || errno == ECONNABORTED));
  if (connection < 0) return Error::from_errno(errno, "cannot wait for the start");
  // Nobody else is let in: who comes later finds no socket.
  close(plan.bundle.start_socket);
  channel = Channel(sys::Fd(connection));
  TRY_VOID(channel.expect(MessageType::kStart));
  return channel.send(MessageType::kReady);
}

Result<void> run_start_hooks(const ProcessPlan& plan) {
  if (plan.start_hooks == nullptr) return {};
  HookState state = *plan.bundle.hooks;
  state.status = "created";
  state.pid = getpid();
  state.directory = "/";
  return run_hooks("startContainer", *plan.start_hooks, state);
}

Result<void> load_filter(const ProcessPlan& plan, Channel& channel) {
  if (plan.seccomp_filter.empty() || weakened(Defence::kSeccomp)) return {};
  TRY(sys::Fd listener, load_seccomp_filter(plan.seccomp_filter, plan.bundle.seccomp_flags,
                                            plan.bundle.seccomp_listener));
  if (!listener) return {};
  TRY_VOID(channel.send(MessageType::kListener, std::to_string(listener.get())));
  return channel.expect(MessageType::kListenerTaken);
}

Result<void> confine(const ProcessPlan& plan, const CapabilitySets& sets, Channel& channel) {
  TRY_VOID(load_filter(plan, channel));
  TRY_VOID(set_capabilities(sets, 0));
  return raise_ambient(sets.ambient);
}

// The end of the way: filter, final capabilities, the word "ready", the wait for the start, execve.
Result<void> confine_and_execute(const ProcessPlan& plan, const CapabilitySets& sets,
                                 const std::vector<std::string>& environment, Channel& channel) {
  TRY_VOID(failpoint("runtime.stage.confined"));
  TRY_VOID(close_all_but(plan, channel));
  TRY(std::string program, find_program(plan.process->args.front(), environment));
  std::vector<char*> argv = pointers(plan.process->args);
  std::vector<char*> envp = pointers(environment);
  umask(plan.process->user.umask.value_or(kDefaultUmask));
  const bool late = plan.confined_late();
  if (!late) TRY_VOID(confine(plan, sets, channel));
  TRY_VOID(channel.send(MessageType::kReady));
  if (plan.bundle.start_socket >= 0) {
    TRY_VOID(wait_for_starter(plan, channel));
  } else {
    TRY_VOID(channel.expect(MessageType::kStart));
  }
  TRY_VOID(run_start_hooks(plan));
  if (late) TRY_VOID(confine(plan, sets, channel));
  execve(program.c_str(), argv.data(), envp.data());
  return exec_error(plan.process->args.front(), errno);
}

Result<void> approach(const ProcessPlan& plan, Role role, sys::Fd root, sys::Fd proc,
                      Channel& channel) {
  TraceScope trace("runtime.child.confine");
  Warnings warnings = plan.warnings;
  if (setsid() < 0) return Error::from_errno(errno, "cannot start a session");
  TRY(Resolved resolved, resolve_identity(plan, root.get()));
  TRY_VOID(connect_streams(plan, role, root.get(), resolved.identity.uid, channel));
  TRY_VOID(use_resources(plan, proc, warnings));
  if (!plan.bundle.no_new_keyring) TRY_VOID(new_keyring(plan, proc, warnings));
  TRY_VOID(enter_directory(plan, root.get()));
  // Nothing of the host's may be reachable by a name under /proc/self/fd from here on.
  root.reset();
  proc.reset();
  CapabilitySets sets;
  TRY_VOID(drop_privileges(plan, resolved.identity, sets, warnings));
  if (channel.peer_gone()) return parent_gone();
  TRY_VOID(send_warnings(warnings, channel));
  trace.end();
  return confine_and_execute(plan, sets, resolved.environment, channel);
}

}  // namespace

Result<void> begin_child(ChannelPair& channels, bool outlive_parent) {
  if (!outlive_parent) TRY_VOID(sys::die_with_parent());
  channels.parent.close();
  // The parent may have died before the signal was asked for; a new pid namespace hides its pid.
  if (channels.child.peer_gone()) return parent_gone();
  if (!weakened(Defence::kDumpable) && prctl(PR_SET_DUMPABLE, 0, 0, 0, 0) != 0)
    return Error::from_errno(errno, "cannot become untraceable");
  reset_signals();
  umask(0);
  return {};
}

Result<sys::Fd> private_proc() {
  TRY(sys::Filesystem proc, sys::Filesystem::open("proc"));
  return proc.mount(MOUNT_ATTR_NOSUID | MOUNT_ATTR_NODEV | MOUNT_ATTR_NOEXEC);
}

Error run_program(const ProcessPlan& plan, Role role, sys::Fd root, sys::Fd proc,
                  Channel& channel) {
  Result<void> failed = approach(plan, role, std::move(root), std::move(proc), channel);
  if (failed) return Error(ErrorKind::kInternal, "the program was not executed");
  return std::move(failed.error());
}

}  // namespace wherry::runtime
