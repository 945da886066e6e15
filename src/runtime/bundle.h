// Containers of bundles, for a command line like runc's: `create` and `start` are different
// processes, and the container lives on when they have ended.
//
// At a glance:
//   create   BundleContainer::create(): cgroup, namespaces, mounts, hooks; its init then waits on
//            the listening socket `start.sock` of the state directory. The caller writes the pid
//            file and its own state, and ends.
//   start    start_created(): connects to that socket; returns when the program has been executed
//            and the poststart hooks have run, or says why not.
//   run      create() with `detached` as the user wants, then start() on the same object.
//   delete   destroy_created(): kills, removes the cgroup; then the caller runs the poststop hooks.
// A second start finds no socket (kConflict "already started"), one after the init's death as well.
// State files, locks, pid files, the lifecycle's words and exit codes are the caller's business.
// Not linked into the monitor (needs libseccomp): library wherry_runtime_bundle.
//
// Thread rule: single-threaded callers only. Errors: as runtime/container.h; a failed create leaves
// nothing, and has run the poststop hooks when hooks had begun to run.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <string>
#include <vector>

#include "oci/runtime_spec.h"
#include "runtime/cgroup_place.h"
#include "runtime/cgroup_stats.h"
#include "runtime/container.h"
#include "runtime/hooks.h"
#include "runtime/seccomp_spec.h"

namespace wherry::runtime {

struct BundleOptions {
  const oci::RuntimeSpec* spec = nullptr;  // borrowed while the object lives
  std::string id;
  std::string bundle;     // absolute; root.path is resolved against it
  std::string state_dir;  // absolute, made by the caller (0700)
  CgroupDriver cgroup_driver = CgroupDriver::kCgroupfs;
  // The caller's fds 3 .. 3+preserve_fds-1 reach the program under the same numbers (LISTEN_FDS is
  // added by the caller: it counts into preserve_fds and goes into process.env with LISTEN_PID=1).
  unsigned preserve_fds = 0;
  // Absolute paths of listening SOCK_STREAM sockets; empty: none. The first gets the pty's master
  // (needs process.terminal, else kInvalidArgument), the second the init's pidfd.
  std::string console_socket;
  std::string pidfd_socket;
  // For a host's NOTIFY_SOCKET. The caller makes `state_dir`/notify/notify.sock and relays it; the
  // directory is bound to /run/notify in the container, and NOTIFY_SOCKET is set to
  // /run/notify/notify.sock.
  bool notify = false;
  bool no_pivot = false;
  bool no_new_keyring = false;
  // The init outlives the caller. False: it dies with the caller (`run` in the foreground).
  bool detached = true;
  // With process.terminal and no console socket the master is take_console()'s; detached it is an
  // error. Without a terminal the program gets the caller's 0, 1 and 2.
  // Directory (0700, caller's) in which compiled seccomp filters are kept by digest; empty: none.
  std::string seccomp_cache;
};

class BundleContainer {
 public:
  // On success the state is "created".
  static Result<BundleContainer> create(const BundleOptions& options);
  BundleContainer(BundleContainer&&) noexcept;
  BundleContainer& operator=(BundleContainer&&) noexcept;
  ~BundleContainer();  // kills nothing

  pid_t pid() const;
  uint64_t start_time() const;
  int pidfd() const;
  const CgroupPlace& cgroup() const;
  const std::string& rootfs() const;  // absolute
  const std::vector<std::string>& warnings() const;
  sys::Fd take_console();

  // For `run`: as start_created, through the same socket.
  Result<void> start();
  // As Container's.
  Result<Container::Exit> reap();
  Result<void> destroy();

 private:
  struct State;
  explicit BundleContainer(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

// In another process than the creator: lets the init execute its program, then runs the poststart
// hooks; one that fails kills the init and is the error. kConflict when it was started already or
// is gone.
struct StartOptions {
  const oci::RuntimeSpec* spec = nullptr;  // as it was created with: hooks, the seccomp listener
  std::string id;
  std::string bundle;
  std::string state_dir;
  pid_t init_pid = 0;
  uint64_t init_start_time = 0;
};
Result<void> start_created(const StartOptions& options);

// Kills what is left in the container (the init by its pidfd, all others by the cgroup; without a
// cgroup only what is in a pid namespace of its own), waits for its end, and removes cgroup and
// systemd's unit. Idempotent: a container that is gone is fine.
Result<void> destroy_created(pid_t init, uint64_t start_time, const CgroupPlace& cgroup);

// One more process in a running container.
struct BundleExecOptions {
  const oci::RuntimeSpec* spec = nullptr;  // the container's: seccomp
  std::string id;
  std::string bundle;
  pid_t init_pid = 0;
  uint64_t init_start_time = 0;  // verified through a pidfd before anything is joined
  CgroupPlace cgroup;
  std::map<std::string, std::string> sub_cgroups;  // as in ExecOptions
  oci::Process process;  // user, args, env, cwd, capabilities, terminal, ...: all of it applies
  unsigned preserve_fds = 0;
  std::string console_socket;
  std::string pidfd_socket;
  bool no_new_keyring = false;
  bool detached = false;
  std::string seccomp_cache;
  // The compiled filter where the caller has it: `spec` need not have the section then.
  std::optional<SpecFilter> filter;
  // kConflict when the container is paused.
  bool refuse_paused = false;
};
// The process has executed its program. With a terminal and no console socket take_console() has
// the master.
Result<ExecProcess> exec_in_bundle(const BundleExecOptions& options);

// The cgroup of a created container, by place. A missing cgroup: kNotFound for update and stats,
// nothing to do for the others. pause, resume and its state: freeze_cgroup and cgroup_frozen of
// runtime/container.h with place.path.
Result<void> update_cgroup(const CgroupPlace& cgroup, const oci::Resources& resources,
                           std::vector<std::string>& warnings);
Result<std::vector<pid_t>> cgroup_processes_of(const CgroupPlace& cgroup);  // ascending
// `signal` to every process of the container (kill --all).
Result<void> signal_cgroup(const CgroupPlace& cgroup, int signal);
Result<CgroupStats> cgroup_stats(const CgroupPlace& cgroup);

}  // namespace wherry::runtime
