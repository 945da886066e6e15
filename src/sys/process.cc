#include "sys/process.h"

#include <linux/close_range.h>
#include <linux/sched.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/mount.h>
#include <sys/syscall.h>
#include <sys/wait.h>

#include <algorithm>
#include <cerrno>
#include <cstdlib>
#include <cstring>
#include <memory>

#include "base/text.h"
#include "base/weaken.h"
#include "sys/mount.h"

namespace wherry::sys {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

struct ChildPlan {
  const SpawnOptions* options;
  char** argv;
  char** envp;
  std::vector<int>* sources;  // duplicates above every target
  int error_fd;
  int program_dir;  // what program_name is relative to
  const char* program_name;
};

[[noreturn]] void give_up(int error_fd, int errnum) {
  [[maybe_unused]] ssize_t written = write(error_fd, &errnum, sizeof errnum);
  _exit(127);
}

// Between clone and exec: only system calls, no allocation.
[[noreturn]] void child_main(const ChildPlan& plan) {
  const SpawnOptions& options = *plan.options;
  if (options.default_signals) {
    for (int number = 1; number < _NSIG; ++number) {
      struct sigaction current{};
      if (sigaction(number, nullptr, &current) == 0 && current.sa_handler != SIG_DFL) {
        current.sa_handler = SIG_DFL;
        sigaction(number, &current, nullptr);
      }
    }
    sigset_t none;
    sigemptyset(&none);
    sigprocmask(SIG_SETMASK, &none, nullptr);
  }
  if (options.new_session && setsid() < 0) give_up(plan.error_fd, errno);
  if (chdir(options.directory.c_str()) != 0) give_up(plan.error_fd, errno);
  // What our own caller left open without close-on-exec must not travel on; dup2 clears the flag
  // again.
  close_range(3, ~0U, CLOSE_RANGE_CLOEXEC);
  for (size_t i = 0; i < options.fds.size(); ++i)
    if (dup2((*plan.sources)[i], options.fds[i].second) < 0) give_up(plan.error_fd, errno);
  syscall(SYS_execveat, plan.program_dir, plan.program_name, plan.argv, plan.envp,
          options.read_only_program ? AT_SYMLINK_NOFOLLOW : 0);
  give_up(plan.error_fd, errno);
}

// The child of clone_vm() begins here.
extern "C" [[noreturn]] void wherry_spawn_child(const void* plan) {
  child_main(*static_cast<const ChildPlan*>(plan));
}

#ifdef WHERRY_SANITIZED
// Their bookkeeping of stacks does not bear two processes in one memory.
long clone_vm(clone_args& args, const ChildPlan& plan) {
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) child_main(plan);
  return pid < 0 ? -errno : pid;
}
#else
// A child in our memory, on a stack of its own, while we wait for its execve: a fork would copy our
// page tables, and each page that we write to afterwards would be a fault. No handler of ours runs
// in it (CLONE_CLEAR_SIGHAND). The negated errno, as the kernel gives it.
long clone_vm(clone_args& args, const ChildPlan& plan) {
  constexpr size_t kStack = 64 << 10;
  const std::unique_ptr<char[]> stack(new char[kStack]);
  const auto begin = (reinterpret_cast<uint64_t>(stack.get()) + 15) & ~uint64_t{15};
  args.flags |= CLONE_VM | CLONE_VFORK;
  args.stack = begin;
  args.stack_size = kStack - 16;
#if defined(__x86_64__)
  long result = SYS_clone3;
  register auto function asm("r8") = &wherry_spawn_child;
  register const void* argument asm("r9") = &plan;
  asm volatile(
      "syscall\n\t"
      "test %%rax, %%rax\n\t"
      "jnz 1f\n\t"
      "xor %%ebp, %%ebp\n\t"
      "mov %%r9, %%rdi\n\t"
      "call *%%r8\n\t"
      "ud2\n"
      "1:"
      : "+a"(result)
      : "D"(&args), "S"(sizeof args), "r"(function), "r"(argument)
      : "rcx", "r11", "memory");
#elif defined(__aarch64__)
  register long result asm("x0") = reinterpret_cast<long>(&args);
  register size_t size asm("x1") = sizeof args;
  register long number asm("x8") = SYS_clone3;
  register auto function asm("x9") = &wherry_spawn_child;
  register const void* argument asm("x10") = &plan;
  asm volatile(
      "svc #0\n\t"
      "cbnz x0, 1f\n\t"
      "mov x29, xzr\n\t"
      "mov x0, x10\n\t"
      "blr x9\n\t"
      "brk #0\n"
      "1:"
      : "+r"(result)
      : "r"(size), "r"(number), "r"(function), "r"(argument)
      : "memory");
#endif
  return result;
}
#endif

// Without symlinks: one could lead out of the mount.
Result<std::string> resolve_path(const std::string& path) {
  std::unique_ptr<char, void (*)(void*)> resolved(realpath(path.c_str(), nullptr), &free);
  if (!resolved) return Error::from_errno(errno, "cannot resolve it");
  return std::string(resolved.get());
}

// The program's directory on a detached read-only mount. The directory and not the file, so that
// the process keeps its name.
Result<Fd> read_only_directory(const std::string& program) {
  TRY(Fd view, clone_mount_of(program.substr(0, program.rfind('/') + 1), true));
  TRY_VOID(change_mount(view.get(), {.set = MOUNT_ATTR_RDONLY, .propagation = MS_PRIVATE}, true));
  return view;
}

// The same file above `highest`, where no dup2 of the child overwrites it.
Result<void> move_above(int highest, Fd& fd) {
  if (fd.get() > highest) return {};
  int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, highest + 1);
  if (copy < 0) return Error::from_errno(errno, "cannot duplicate a file descriptor");
  fd.reset(copy);
  return {};
}

}  // namespace

Result<Spawning> begin_spawn(const SpawnOptions& options) {
  std::string context = "cannot start '" + options.program + "'";
  std::vector<char*> argv = pointers(options.arguments);
  std::vector<char*> envp = pointers(options.environment);
  TRY_CTX(Pipe failure, make_pipe(), context);
  // Sources are moved above every target so that one dup2 cannot overwrite the next one's source.
  int highest = 2;
  for (auto [ours, theirs] : options.fds) highest = std::max(highest, theirs);
  std::vector<Fd> owned;
  std::vector<int> sources;
  for (auto [ours, theirs] : options.fds) {
    int copy = fcntl(ours, F_DUPFD_CLOEXEC, highest + 1);
    if (copy < 0) return Error::from_errno(errno, context);
    owned.emplace_back(copy);
    sources.push_back(copy);
  }
  TRY_VOID_CTX(move_above(highest, failure.write), context);
  ChildPlan plan{&options,
                 argv.data(),
                 envp.data(),
                 &sources,
                 failure.write.get(),
                 AT_FDCWD,
                 options.program.c_str()};
  Fd view;
  std::string resolved;
  if (options.read_only_program) {
    TRY_CTX(resolved, resolve_path(options.program), context);
    TRY_CTX(view, read_only_directory(resolved), context);
    TRY_VOID_CTX(move_above(highest, view), context);
    plan.program_dir = view.get();
    plan.program_name = resolved.c_str() + resolved.rfind('/') + 1;
  }
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (options.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(options.cgroup_fd);
  }
  const long pid = clone_vm(args, plan);
  if (pid < 0) return Error::from_errno(static_cast<int>(-pid), context);
  return Spawning(Child(static_cast<pid_t>(pid), Fd(pidfd)), std::move(failure.read),
                  std::move(view), std::move(context));
}

Result<Child> Spawning::finish() {
  int errnum = 0;
  ssize_t got = 0;
  do {
    got = read(failure_.get(), &errnum, sizeof errnum);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof errnum) {
    [[maybe_unused]] Result<int> reaped = child_.wait();
    return Error::from_errno(errnum, context_);
  }
  return std::move(child_);
}

Result<Child> spawn(const SpawnOptions& options) {
  TRY(Spawning spawning, begin_spawn(options));
  return spawning.finish();
}

Result<int> Child::wait() {
  siginfo_t info{};
  while (waitid(P_PIDFD, static_cast<id_t>(pidfd_.get()), &info, WEXITED) != 0)
    if (errno != EINTR) return Error::from_errno(errno, "cannot wait for a child");
  pid_ = 0;
  return info.si_code == CLD_EXITED ? info.si_status : 128 + info.si_status;
}

Result<void> Child::signal(int signal_number) {
  return signal_process(pidfd_.get(), signal_number);
}

Result<Finished> run_program(SpawnOptions options, size_t limit) {
  TRY(Fd null, open_file("/dev/null", O_RDONLY));
  TRY(Pipe out, make_pipe());
  TRY(Pipe err, make_pipe());
  options.fds.emplace_back(null.get(), 0);
  options.fds.emplace_back(out.write.get(), 1);
  options.fds.emplace_back(err.write.get(), 2);
  TRY(Child child, spawn(options));
  out.write.reset();
  err.write.reset();
  Finished finished;
  pollfd polls[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  std::string* sinks[2] = {&finished.out, &finished.err};
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR)
      return Error::from_errno(errno, "cannot wait for output of '" + options.program + "'");
    for (int i = 0; i < 2; ++i) {
      if (polls[i].fd < 0 || polls[i].revents == 0) continue;
      char buffer[8192];
      ssize_t got = read(polls[i].fd, buffer, sizeof buffer);
      if (got <= 0) {
        polls[i].fd = -1;
      } else if (sinks[i]->size() < limit) {
        sinks[i]->append(buffer, std::min(static_cast<size_t>(got), limit - sinks[i]->size()));
      }
    }
  }
  TRY(finished.code, child.wait());
  return finished;
}

std::optional<uint64_t> process_start_time(pid_t pid) {
  Result<std::string> stat = read_file("/proc/" + std::to_string(pid) + "/stat", 4096);
  if (!stat) return std::nullopt;
  // The command name in parentheses may hold anything: count fields from the last ')'.
  size_t after = stat->rfind(')');
  if (after == std::string::npos) return std::nullopt;
  std::vector<std::string_view> fields = split(std::string_view(*stat).substr(after + 2), ' ');
  constexpr size_t kStartTime = 22 - 3;
  if (fields.size() <= kStartTime) return std::nullopt;
  return parse_u64(fields[kStartTime]);
}

Result<Fd> open_process(pid_t pid, uint64_t start_time) {
  Fd fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  if (!fd) return Error::from_errno(errno, "cannot open process " + std::to_string(pid));
  if (process_start_time(pid) != start_time)
    return Error(ErrorKind::kNotFound, "process " + std::to_string(pid) + " is gone");
  return fd;
}

Result<void> signal_process(int pidfd, int signal_number) {
  if (syscall(SYS_pidfd_send_signal, pidfd, signal_number, nullptr, 0) != 0)
    return Error::from_errno(errno, "cannot send signal " + std::to_string(signal_number));
  return {};
}

std::vector<std::string> inherited_test_environment() {
  std::vector<std::string> environment;
  for (const char* name : {"WHERRY_TRACE", "WHERRY_FAILPOINT", "WHERRY_FAILPOINT_LIST",
                           "WHERRY_FAILPOINT_PROGRAM", "WHERRY_LIBEXEC"})
    if (const char* value = getenv(name)) environment.push_back(std::string(name) + "=" + value);
#ifdef WHERRY_WEAKENED_BUILD
  if (const char* value = getenv("WHERRY_WEAKEN"))
    environment.push_back(std::string("WHERRY_WEAKEN=") + value);
#endif
  return environment;
}

Result<std::string> find_helper(const std::string& name) {
  std::vector<std::string> places;
  if (const char* override = getenv("WHERRY_LIBEXEC")) {
    places.push_back(std::string(override) + "/" + name);
  } else {
    char self[4096];
    ssize_t length = readlink("/proc/self/exe", self, sizeof self - 1);
    if (length < 0) return Error::from_errno(errno, "cannot read '/proc/self/exe'");
    std::string directory(self, static_cast<size_t>(length));
    directory.resize(directory.rfind('/'));
    places.push_back(directory + "/" + name);
    places.push_back(directory + "/../libexec/wherry/" + name);
  }
  for (const std::string& place : places)
    if (access(place.c_str(), X_OK) == 0) return place;
  return Error(ErrorKind::kNotFound,
               "cannot find the program '" + name + "' (looked for " + join(places, " and ") + ")")
      .set_hint("install wherry's programs together, or set WHERRY_LIBEXEC to their directory");
}

}  // namespace wherry::sys
