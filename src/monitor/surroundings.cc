#include "monitor/surroundings.h"

#include <fcntl.h>
#include <sched.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstring>

#include "sys/fd.h"

namespace wherry::monitor {
namespace {

void reset_scheduling() {
  if (sched_getscheduler(0) != SCHED_OTHER) {
    sched_param none{};
    sched_setscheduler(0, SCHED_OTHER, &none);
  }
  if (getpriority(PRIO_PROCESS, 0) != 0) setpriority(PRIO_PROCESS, 0, 0);
  // The kernel takes those of them that exist and that our cpuset allows.
  cpu_set_t every[8];
  memset(every, 0xff, sizeof every);
  sched_setaffinity(0, sizeof every, every);
}

bool write_zero(const char* path) {
  sys::Fd file(open(path, O_WRONLY | O_CLOEXEC));
  return file && write(file.get(), "0", 1) == 1;
}

// Soft limits of a shell or a service go up to the hard ones; the stack's stays, because it moves
// where programs are laid out.
void raise_soft_limits() {
  for (auto resource : {RLIMIT_NOFILE, RLIMIT_NPROC, RLIMIT_CPU, RLIMIT_FSIZE, RLIMIT_DATA,
                        RLIMIT_AS, RLIMIT_MEMLOCK, RLIMIT_CORE}) {
    rlimit limit{};
    if (getrlimit(resource, &limit) != 0 || limit.rlim_cur == limit.rlim_max) continue;
    limit.rlim_cur = limit.rlim_max;
    setrlimit(resource, &limit);
  }
}

void leave_session_keyring() {
  constexpr int kJoinSessionKeyring = 1;  // KEYCTL_JOIN_SESSION_KEYRING: a new one without a name
  syscall(SYS_keyctl, kJoinSessionKeyring, nullptr);
}

}  // namespace

void take_fixed_surroundings() {
  umask(022);
  // Refused to those who may not go below a score that was given to them: then it stays.
  (void)write_zero("/proc/self/oom_score_adj");
  reset_scheduling();
  raise_soft_limits();
  leave_session_keyring();
}

}  // namespace wherry::monitor
