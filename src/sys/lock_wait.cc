#include "sys/lock_wait.h"

#include <sys/file.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <algorithm>
#include <cerrno>
#include <charconv>
#include <csignal>
#include <cstdio>
#include <ctime>
#include <vector>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::sys {
namespace {

constexpr size_t kMaxLocks = 4 << 20;
constexpr size_t kMaxCommandLine = 4096;

LockWaitObserver g_observer = nullptr;

// Fields of "1: FLOCK  ADVISORY  WRITE 1234 08:01:131 0 EOF"; a waiter has "->" before its kind.
std::vector<std::string_view> fields_of(std::string_view line) {
  std::vector<std::string_view> fields;
  for (std::string_view field : split(line, ' '))
    if (!field.empty()) fields.push_back(field);
  return fields;
}

LockHolder describe(pid_t pid) {
  LockHolder holder{.pid = pid, .command = {}};
  std::string folder = "/proc/" + std::to_string(pid);
  holder.command = read_file(folder + "/cmdline", kMaxCommandLine).value_or("");
  while (holder.command.ends_with('\0')) holder.command.pop_back();
  std::ranges::replace(holder.command, '\0', ' ');
  std::string state = read_file(folder + "/stat", kMaxCommandLine).value_or("");
  size_t name_end = state.rfind(") ");
  if (name_end != state.npos && name_end + 2 < state.size())
    holder.stopped = state[name_end + 2] == 'T' || state[name_end + 2] == 't';
  return holder;
}

// A timer's signal that interrupts flock again and again: the first may come before it waits.
class Alarm {
 public:
  static constexpr int kFirstMs = kLockPatienceMs;

  Alarm() {
    struct sigaction action{};
    action.sa_handler = [](int) {};  // without SA_RESTART: flock returns with EINTR
    sigaction(number(), &action, &old_action_);
    sigset_t ours;
    sigemptyset(&ours);
    sigaddset(&ours, number());
    pthread_sigmask(SIG_UNBLOCK, &ours, &old_mask_);
    sigevent event{};
    event.sigev_notify = SIGEV_SIGNAL;
    event.sigev_signo = number();
    armed_ = timer_create(CLOCK_MONOTONIC, &event, &timer_) == 0;
    itimerspec times{};
    times.it_value = times.it_interval = {kFirstMs / 1000, kFirstMs % 1000 * 1'000'000L};
    if (armed_) timer_settime(timer_, 0, &times, nullptr);
  }
  Alarm(const Alarm&) = delete;
  Alarm& operator=(const Alarm&) = delete;
  ~Alarm() {
    if (armed_) timer_delete(timer_);
    pthread_sigmask(SIG_SETMASK, &old_mask_, nullptr);
    sigaction(number(), &old_action_, nullptr);
  }

 private:
  static int number() { return SIGRTMAX; }

  timer_t timer_{};
  bool armed_ = false;
  struct sigaction old_action_{};
  sigset_t old_mask_{};
};

}  // namespace

void observe_lock_waits(LockWaitObserver observer) {
  g_observer = observer;
}

void tell_lock_wait(const std::string& name, const std::string& path) {
  if (g_observer != nullptr) g_observer(name, lock_holder(path));
}

std::optional<LockHolder> lock_holder(dev_t device, ino_t inode) {
  char file[64];
  snprintf(file, sizeof file, "%02x:%02x:%llu", major(device), minor(device),
           static_cast<unsigned long long>(inode));
  Result<std::string> locks = read_file("/proc/locks", kMaxLocks);
  if (!locks) return std::nullopt;
  for (std::string_view line : split(*locks, '\n')) {
    std::vector<std::string_view> fields = fields_of(line);
    if (fields.size() < 6 || fields[1] == "->" || fields[3] != "WRITE" || fields[5] != file)
      continue;
    pid_t pid = 0;
    std::from_chars(fields[4].data(), fields[4].data() + fields[4].size(), pid);
    if (pid > 0) return describe(pid);
  }
  return std::nullopt;
}

std::optional<LockHolder> lock_holder(const std::string& path) {
  struct stat info{};
  if (stat(path.c_str(), &info) != 0) return std::nullopt;
  return lock_holder(info.st_dev, info.st_ino);
}

int wait_for_flock(int fd, int operation, const std::string& name) {
  if (g_observer == nullptr || (operation & LOCK_NB) != 0) return flock(fd, operation);
  if (flock(fd, operation | LOCK_NB) == 0) return 0;
  if (errno != EWOULDBLOCK) return -1;
  Alarm alarm;
  bool told = false;
  for (;;) {
    if (flock(fd, operation) == 0) return 0;
    if (errno != EINTR) return -1;
    if (told) continue;
    told = true;
    struct stat info{};
    if (fstat(fd, &info) == 0) g_observer(name, lock_holder(info.st_dev, info.st_ino));
  }
}

}  // namespace wherry::sys
