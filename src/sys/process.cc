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
#include "sys/raw_syscall.h"

namespace wherry::sys {
namespace {

std::vector<char*> pointers(const std::vector<std::string>& texts) {
  std::vector<char*> list;
  for (const std::string& text : texts) list.push_back(const_cast<char*>(text.c_str()));
  list.push_back(nullptr);
  return list;
}

// Between clone and exec, in our memory and beside us: system calls without libc, whose errno is
// ours, and no allocation.
struct SpawnChild {
  char** argv = nullptr;
  char** envp = nullptr;
  const char* directory = nullptr;
  bool new_session = false;
  const int* sources = nullptr;  // duplicates above every target
  const int* targets = nullptr;
  size_t fds = 0;
  int error_fd = -1;
  int program_dir = -1;  // what program_name is relative to
  const char* program_name = nullptr;
  int exec_flags = 0;

  [[noreturn]] void run() const;

 private:
  [[noreturn]] void give_up(long result) const;
  static void reset_signals();
};

[[noreturn]] void SpawnChild::give_up(long result) const {
  const int errnum = static_cast<int>(-result);
  raw_syscall(SYS_write, error_fd, raw_address(&errnum), sizeof errnum);
  for (;;) raw_syscall(SYS_exit_group, 127);
}

// CLONE_CLEAR_SIGHAND has left those that are ignored.
void SpawnChild::reset_signals() {
  constexpr long kSetSize = 8;
  for (int number = 1; number < _NSIG; ++number) {
    unsigned long action[4] = {};  // the kernel's: the handler first
    if (raw_syscall(SYS_rt_sigaction, number, 0, raw_address(action), kSetSize) != 0) continue;
    if (action[0] == 0) continue;
    const unsigned long usual[4] = {};
    raw_syscall(SYS_rt_sigaction, number, raw_address(usual), 0, kSetSize);
  }
  const uint64_t none = 0;
  raw_syscall(SYS_rt_sigprocmask, SIG_SETMASK, raw_address(&none), 0, kSetSize);
}

[[noreturn]] void SpawnChild::run() const {
  reset_signals();
  if (new_session)
    if (long result = raw_syscall(SYS_setsid); result < 0) give_up(result);
  if (long result = raw_syscall(SYS_chdir, raw_address(directory)); result != 0) give_up(result);
  // What our own caller left open without close-on-exec must not travel on; dup3 clears the flag
  // again.
  raw_syscall(SYS_close_range, 3, ~0U, CLOSE_RANGE_CLOEXEC);
  for (size_t i = 0; i < fds; ++i)
    if (long result = raw_syscall(SYS_dup3, sources[i], targets[i], 0); result < 0) give_up(result);
  give_up(raw_syscall(SYS_execveat, program_dir, raw_address(program_name), raw_address(argv),
                      raw_address(envp), exec_flags));
}

// The child of clone_vm() begins here.
extern "C" [[noreturn]] void wherry_spawn_child(const void* child) {
  static_cast<const SpawnChild*>(child)->run();
}

constexpr size_t kStack = 64 << 10;

#ifdef WHERRY_SANITIZED
// Their bookkeeping of stacks does not bear two processes in one memory.
long clone_vm(clone_args& args, const SpawnChild& child, char*) {
  const long pid = syscall(SYS_clone3, &args, sizeof args);
  if (pid == 0) child.run();
  return pid < 0 ? -errno : pid;
}
#else
// A child in our memory, on a stack of its own, both of which stay until it has executed its
// program: a fork would copy our page tables, and each page that we write to afterwards would be a
// fault. No handler of ours runs in it (CLONE_CLEAR_SIGHAND). The negated errno, as the kernel
// gives it.
long clone_vm(clone_args& args, const SpawnChild& child, char* stack) {
  args.flags |= CLONE_VM;
  args.stack = (reinterpret_cast<uint64_t>(stack) + 15) & ~uint64_t{15};
  args.stack_size = kStack - 16;
#if defined(__x86_64__)
  long result = SYS_clone3;
  register auto function asm("r8") = &wherry_spawn_child;
  register const void* argument asm("r9") = &child;
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
  register const void* argument asm("x10") = &child;
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

// The same file above `highest`, where no dup3 of the child overwrites it.
Result<void> move_above(int highest, Fd& fd) {
  if (fd.get() > highest) return {};
  int copy = fcntl(fd.get(), F_DUPFD_CLOEXEC, highest + 1);
  if (copy < 0) return Error::from_errno(errno, "cannot duplicate a file descriptor");
  fd.reset(copy);
  return {};
}

}  // namespace

struct Spawning::Plan {
  explicit Plan(SpawnOptions given)
      : options(std::move(given)),
        context("cannot start '" + options.program + "'"),
        argv(pointers(options.arguments)),
        envp(pointers(options.environment)) {}

  Result<void> prepare();
  Result<Child> clone();

  SpawnOptions options;
  std::string context;
  std::vector<char*> argv, envp;
  std::vector<Fd> owned;
  std::vector<int> sources, targets;
  Pipe failure;  // tells the error; closed by the execve
  Fd view;       // closed by us and not by the child, which would wait for the mount's end
  std::string resolved;
  SpawnChild child;
  std::unique_ptr<char[]> stack{new char[kStack]};
};

Result<void> Spawning::Plan::prepare() {
  TRY(failure, make_pipe());
  // Sources are moved above every target so that one dup3 cannot overwrite the next one's source.
  int highest = 2;
  for (auto [ours, theirs] : options.fds) highest = std::max(highest, theirs);
  for (auto [ours, theirs] : options.fds) {
    int copy = fcntl(ours, F_DUPFD_CLOEXEC, highest + 1);
    if (copy < 0) return Error::from_errno(errno, "cannot duplicate a file descriptor");
    owned.emplace_back(copy);
    sources.push_back(copy);
    targets.push_back(theirs);
  }
  TRY_VOID(move_above(highest, failure.write));
  child = {.argv = argv.data(),
           .envp = envp.data(),
           .directory = options.directory.c_str(),
           .new_session = options.new_session,
           .sources = sources.data(),
           .targets = targets.data(),
           .fds = sources.size(),
           .error_fd = failure.write.get(),
           .program_dir = AT_FDCWD,
           .program_name = options.program.c_str()};
  if (!options.read_only_program) return {};
  TRY(resolved, resolve_path(options.program));
  TRY(view, read_only_directory(resolved));
  TRY_VOID(move_above(highest, view));
  child.program_dir = view.get();
  child.program_name = resolved.c_str() + resolved.rfind('/') + 1;
  child.exec_flags = AT_SYMLINK_NOFOLLOW;
  return {};
}

Result<Child> Spawning::Plan::clone() {
  int pidfd = -1;
  clone_args args{};
  args.flags = CLONE_PIDFD | CLONE_CLEAR_SIGHAND;
  args.pidfd = reinterpret_cast<uint64_t>(&pidfd);
  args.exit_signal = SIGCHLD;
  if (options.cgroup_fd >= 0) {
    args.flags |= CLONE_INTO_CGROUP;
    args.cgroup = static_cast<uint64_t>(options.cgroup_fd);
  }
  const long pid = clone_vm(args, child, stack.get());
  if (pid < 0) return Error::from_errno(static_cast<int>(-pid), "cannot clone a process");
  failure.write.reset();
  owned.clear();
  return Child(static_cast<pid_t>(pid), Fd(pidfd));
}

Result<Spawning> begin_spawn(SpawnOptions options) {
  auto plan = std::make_unique<Spawning::Plan>(std::move(options));
  TRY_VOID_CTX(plan->prepare(), plan->context);
  TRY_CTX(Child child, plan->clone(), plan->context);
  return Spawning(std::move(plan), std::move(child));
}

Spawning::Spawning(std::unique_ptr<Plan> plan, Child child)
    : plan_(std::move(plan)), child_(std::move(child)) {}

Spawning::Spawning(Spawning&& other) noexcept = default;

Spawning& Spawning::operator=(Spawning&& other) noexcept {
  std::swap(plan_, other.plan_);
  std::swap(child_, other.child_);
  std::swap(finished_, other.finished_);
  return *this;
}

Spawning::~Spawning() {
  if (plan_ && !finished_) [[maybe_unused]]
    Result<Child> child = finish();
}

// The kernel leaves our memory before it closes the pipe of one that executes its program; one that
// could not is in it until its end.
Result<Child> Spawning::finish() {
  finished_ = true;
  int errnum = 0;
  ssize_t got = 0;
  do {
    got = read(plan_->failure.read.get(), &errnum, sizeof errnum);
  } while (got < 0 && errno == EINTR);
  if (got == sizeof errnum) {
    [[maybe_unused]] Result<int> reaped = child_.wait();
    return Error::from_errno(errnum, plan_->context);
  }
  return std::move(child_);
}

Result<Child> spawn(SpawnOptions options) {
  TRY(Spawning spawning, begin_spawn(std::move(options)));
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
  const std::string program = options.program;
  TRY(Child child, spawn(std::move(options)));
  out.write.reset();
  err.write.reset();
  Finished finished;
  pollfd polls[2] = {{out.read.get(), POLLIN, 0}, {err.read.get(), POLLIN, 0}};
  std::string* sinks[2] = {&finished.out, &finished.err};
  while (polls[0].fd >= 0 || polls[1].fd >= 0) {
    if (poll(polls, 2, -1) < 0 && errno != EINTR)
      return Error::from_errno(errno, "cannot wait for output of '" + program + "'");
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
