// The create path: from an OCI runtime configuration to a process that waits just before its
// execve, and from there to a running container. A library: it never logs, never exits, never
// touches records.
//
// Thread rule: single-threaded callers only (a process that clones containers has one thread).
// Ownership: Container owns the init's pidfd; destroying the object kills nothing. The init dies
// with its creating thread (parent-death signal), so the caller is its monitor. Errors: name the
// step and the object ("cannot mount '/data': ..."). A program that cannot be executed keeps runc's
// words, which engines map to exit codes:
//   exec: "foo": executable file not found in $PATH        kNotFound          (127)
//   exec: "/x": stat /x: no such file or directory         kNotFound          (127)
//   exec: "/x": permission denied                           kPermissionDenied  (126)
//   exec: "/x": is a directory                              kPermissionDenied  (126)
// On any error everything made so far is undone: process, cgroups, mounts (they live in fds and in
// the container's own mount namespace).
#pragma once

#include <linux/seccomp.h>
#include <sys/types.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"
#include "sys/fd.h"
#include "sys/link_plan.h"

namespace wherry::runtime {

// Where the root file system comes from. It is mounted from detached mount fds inside the
// container's own mount namespace: the host's mount table never shows it.
struct RootSource {
  // Overlay: layer directories, topmost first; upper and work on one file system.
  std::vector<std::string> lower;
  // Below them an EROFS file with everything but contents, and the directory that has those
  // (sys/overlay.h); both absolute, or both empty.
  std::string metadata;
  std::string objects;
  std::string upper;
  std::string work;
  bool volatile_upper = false;  // skip syncs: for containers whose upper is thrown away
  // Or, when lower and metadata are empty: a directory bound as it is.
  std::string directory;
};

struct Stdio {
  // Borrowed. -1: the container's own null device. With a terminal all three are ignored.
  int in = -1;
  int out = -1;
  int err = -1;
};

struct HookState;  // runtime/hooks.h

// What containers of bundles need beyond an engine's own; the defaults are the engine's.
struct BundlePart {
  // No parent-death signal: the process lives on when its creator ends.
  bool outlive_creator = false;
  // A listening SOCK_SEQPACKET socket (borrowed): kStart comes from whoever connects to it, and
  // start() is not called.
  int start_socket = -1;
  // The caller's fds 3 .. 3+preserve_fds-1 (all open) reach the program under the same numbers.
  unsigned preserve_fds = 0;
  bool no_pivot = false;  // move the root and chroot: for roots that cannot be pivoted from (ramfs)
  bool no_new_keyring = false;
  // Makes the cgroup (cgroups_path) around a process, as systemd's scopes are made; empty: its
  // directories are made by us.
  std::function<Result<void>(pid_t)> make_scope;
  // What the specification's hooks are told; they are refused without. Borrowed during create().
  const HookState* hooks = nullptr;
  // SECCOMP_FILTER_FLAG_ bits for seccomp_filter.
  // By default speculation stays as it is for other programs: the mitigation costs a container more
  // than the filter.
  uint32_t seccomp_flags = SECCOMP_FILTER_FLAG_SPEC_ALLOW;
  // The filter notifies: the number of its listener is told to whoever starts (runtime/sync.h).
  bool seccomp_listener = false;
};

class Cgroup;

// A container's cgroup without limits, made before anything else is known of the container. One
// that no container has taken is removed.
class PreparedCgroup {
 public:
  PreparedCgroup();  // none
  static Result<PreparedCgroup> make(const std::string& cgroups_path);
  PreparedCgroup(PreparedCgroup&&) noexcept;
  PreparedCgroup& operator=(PreparedCgroup&&) noexcept;
  ~PreparedCgroup();

  // nullptr when it is none, or another than this.
  std::unique_ptr<Cgroup> take(const std::string& cgroups_path);

 private:
  std::string path_;
  std::unique_ptr<Cgroup> cgroup_;
};

struct CreateOptions {
  const oci::RuntimeSpec* spec = nullptr;  // borrowed during create()
  RootSource root;
  Stdio stdio;
  // Its cgroup, where that was made beforehand; taken. Null or another than the specification's:
  // none.
  PreparedCgroup* cgroup = nullptr;
  // Waits until the container may be started; asked just before the init is cloned. With one the
  // init executes its program as soon as it is ready, and start() only hears of it. It gives a
  // network namespace made for this container with its loopback up, for where the specification
  // wants a new one, or none; not looked at for a container with a user namespace, to which its own
  // would have to belong.
  std::function<Result<sys::Fd>()> permit;
  // What the caller has to do anyway, done while the init makes itself ready.
  std::function<Result<void>()> meanwhile;
  // A compiled seccomp filter (array of sock_filter as bytes). Empty: none.
  std::string seccomp_filter;
  // Veth into a bridge; nullopt: only loopback in a new network namespace, or nothing in a shared
  // one.
  std::optional<sys::LinkPlan> link;
  // A user as Docker takes it: "name", "uid", "name:group", "uid:gid". Looked up in the container's
  // own /etc/passwd and /etc/group (bounded parser, opened inside the root); numbers need no entry.
  // When set it replaces process.user, gives the supplementary groups, and HOME when the
  // environment has none. Unknown: kInvalidArgument "unable to find user x: no matching entries in
  // passwd file".
  std::optional<std::string> user;
  // Make process.cwd when it is missing (owned by root), as Docker does.
  bool create_cwd = false;
  BundlePart bundle;
  // Mounts with the option "x-wherry.copyup" (binds of new volumes): an empty source directory is
  // first filled from the image's directory at the destination, with owners, modes, times and
  // xattrs.
};

class Container {
 public:
  // Makes cgroups and namespaces, mounts everything, and leaves the init waiting before its execve.
  static Result<Container> create(const CreateOptions& options);

  Container(Container&&) noexcept;
  Container& operator=(Container&&) noexcept;
  ~Container();

  pid_t pid() const;
  uint64_t start_time() const;  // of the init, see sys/process.h
  int pidfd() const;
  // The master side of the terminal; only with process.terminal, once.
  sys::Fd take_console();
  // Non-fatal notes: "cannot raise RLIMIT_NOFILE to ...; using 20000".
  const std::vector<std::string>& warnings() const;

  // Lets the init execve. Returns when it has, or with why it could not; then the init is reaped
  // and the container is destroyed.
  Result<void> start();

  // Reaps the init after its pidfd became readable. Exit code, or 128 + signal.
  struct Exit {
    int code = 0;
    int signal = 0;  // 0: exited
    bool oom_killed = false;
  };
  Result<Exit> reap();

  // Kills what is left in the cgroup and removes it. Idempotent.
  Result<void> destroy();

 private:
  struct State;
  explicit Container(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// One more process in a running container (docker exec): joins all its namespaces and cgroups, with
// the confinement of `process` (capabilities, no_new_privileges) and `seccomp_filter`.
struct ExecOptions {
  pid_t init_pid = 0;
  uint64_t init_start_time = 0;  // verified through a pidfd before anything is joined
  std::string cgroups_path;
  // Below it, by controller ("" for all): where to instead (runtime/cgroup.h).
  std::map<std::string, std::string> sub_cgroups;
  oci::Process process;
  std::optional<std::string> user;  // as in CreateOptions
  Stdio stdio;
  std::string seccomp_filter;
  BundlePart bundle;           // start_socket and hooks have no meaning here
  bool refuse_paused = false;  // container_paused() when its cgroup is frozen
  // The container's, which hold for every process in it.
  std::optional<oci::Personality> personality;
  std::optional<oci::MemoryPolicy> memory_policy;
  // Gets the listener of a filter that notifies, and the pid of the process; needed with
  // bundle.seccomp_listener.
  std::function<Result<void>(sys::Fd, pid_t)> take_listener;
};

// The error of an exec into a paused container, in runc's words.
Error container_paused();

class ExecProcess {
 public:
  // The process has executed its program, or the error says why not (same words as Container).
  static Result<ExecProcess> start(const ExecOptions& options);
  ExecProcess(ExecProcess&&) noexcept = default;
  ExecProcess& operator=(ExecProcess&&) noexcept = default;

  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  sys::Fd take_console() { return std::move(console_); }
  void give_console(sys::Fd console) { console_ = std::move(console); }
  // As Container::warnings.
  const std::vector<std::string>& warnings() const { return warnings_; }
  Result<Container::Exit> reap();

 private:
  ExecProcess() = default;
  pid_t pid_ = 0;
  sys::Fd pidfd_;
  sys::Fd console_;
  std::vector<std::string> warnings_;
};

// Cgroups of a container by path, for when its monitor is gone.
struct CgroupUsage {
  uint64_t processes = 0;
};
// SIGKILLs everything in the cgroup (cgroup.kill on v2, freezer and signals on v1) and waits until
// it is empty, at most `timeout_ms`.
Result<void> kill_cgroup(const std::string& cgroups_path, int timeout_ms);
// Removes the empty cgroup in every hierarchy; a missing one is fine.
Result<void> remove_cgroup(const std::string& cgroups_path);
// SIGSTOP-free pause and resume through the freezer.
Result<void> freeze_cgroup(const std::string& cgroups_path, bool frozen);
// Whether it is paused; a missing cgroup is not.
Result<bool> cgroup_frozen(const std::string& cgroups_path);

// Moves the calling process into the engine's own cgroup on every hierarchy (v1 by writing 0 to
// `tasks`), made when missing: `cgroups_path` like "/wherry/engine". A container never depends on
// its caller.
Result<void> enter_cgroup(const std::string& cgroups_path);

}  // namespace wherry::runtime
