// Processes: spawn a program with exactly these fds and environment, name one safely, wait for one.
//
// A process is identified by pidfd, or by pid plus start time (field 22 of /proc/PID/stat), never
// by pid alone. Children are reaped by their owner through the pidfd.
#pragma once

#include <sys/types.h>

#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"

namespace wherry::sys {

// Signals have their default effect in the program, and none is blocked.
struct SpawnOptions {
  std::string program;                   // absolute path
  std::vector<std::string> arguments;    // argv, [0] included
  std::vector<std::string> environment;  // "NAME=value"; nothing is inherited
  // {ours, theirs}: duplicated. 0 to 2 are inherited when not named; everything else is closed on
  // exec.
  std::vector<std::pair<int, int>> fds;
  bool new_session = false;  // setsid
  std::string directory = "/";
  int cgroup_fd = -1;  // v2 directory to be born in (CLONE_INTO_CGROUP), or -1
  // Executes the program from a read-only mount of its own: nobody who meets its process can write
  // to the file through /proc/PID/exe, whatever his rights. For what enters containers
  // (CVE-2019-5736). Needs CAP_SYS_ADMIN.
  bool read_only_program = false;
};

class Child {
 public:
  Child() = default;
  Child(pid_t pid, Fd pidfd) : pid_(pid), pidfd_(std::move(pidfd)) {}
  pid_t pid() const { return pid_; }
  int pidfd() const { return pidfd_.get(); }
  // Waits for the end and reaps. Returns the exit code, or 128 + signal.
  Result<int> wait();
  Result<void> signal(int signal_number);
  // The caller no longer cares (the child has its own session and a parent elsewhere).
  void detach() { pid_ = 0; }

 private:
  pid_t pid_ = 0;
  Fd pidfd_;
};

// A child of which is not known yet whether it has executed its program. Until it has, it uses our
// memory, of which this object owns what it needs, and has a copy of every descriptor of ours: a
// lock or a pipe that we close meanwhile is held until then. For the kernel we are not
// single-threaded meanwhile: no setns() to a time namespace.
class Spawning {
 public:
  Spawning(Spawning&& other) noexcept;
  Spawning& operator=(Spawning&& other) noexcept;
  // Waits until it has, and does not reap it.
  ~Spawning();

  // Once. Waits until it has; an execve that failed is returned as its error, and the child is
  // reaped. A read-only program's mount is closed with this object, which waits for the kernel.
  Result<Child> finish();
  pid_t pid() const { return child_.pid(); }

 private:
  struct Plan;
  friend Result<Spawning> begin_spawn(SpawnOptions options);
  Spawning(std::unique_ptr<Plan> plan, Child child);

  std::unique_ptr<Plan> plan_;  // what the child uses; empty: moved from
  Child child_;
  bool finished_ = false;
};
Result<Spawning> begin_spawn(SpawnOptions options);

// Starts a program: both in one.
Result<Child> spawn(SpawnOptions options);

// Runs to the end with stdin from /dev/null; returns the exit code and what it printed on both
// streams (at most `limit` bytes each).
struct Finished {
  int code = 0;
  std::string out;
  std::string err;
};
Result<Finished> run_program(SpawnOptions options, size_t limit);

// Start time in clock ticks since boot; nullopt when there is no such process.
std::optional<uint64_t> process_start_time(pid_t pid);
// A pidfd of the process that has this pid and this start time; kNotFound when it is gone.
Result<Fd> open_process(pid_t pid, uint64_t start_time);
Result<void> signal_process(int pidfd, int signal_number);

// The environment variables of wherry that a child with a fixed environment must get:
// WHERRY_TRACE, WHERRY_FAILPOINT, WHERRY_FAILPOINT_LIST, as "NAME=value", where set.
std::vector<std::string> inherited_test_environment();

// The directory of our helper programs: where this program is (build tree), or ../libexec/wherry.
// WHERRY_LIBEXEC overrides. Returns the absolute path of `name`, kNotFound names the places looked
// at.
Result<std::string> find_helper(const std::string& name);

}  // namespace wherry::sys
