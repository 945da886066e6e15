#include "store/early_sync.h"

#include <poll.h>
#include <signal.h>
#include <unistd.h>

#include <climits>

#include "sys/clone.h"

namespace wherry::store {
namespace {

constexpr uint64_t kWorthIt = 16u << 20;

[[noreturn]] void sync_and_exit(int directory) {
  // Nothing of ours may be held open, least of all a lock, by one that a slow disk keeps.
  bool alone = sys::die_with_parent().has_value() && dup2(directory, 0) == 0 &&
               close_range(1, UINT_MAX, 0) == 0;
  if (alone) syncfs(0);
  _exit(0);
}

}  // namespace

bool EarlySync::is_busy() {
  if (child_.pid() == 0) return false;
  pollfd ended{child_.pidfd(), POLLIN, 0};
  if (poll(&ended, 1, 0) == 0) return true;
  static_cast<void>(child_.wait());
  child_ = sys::Child();
  return false;
}

void EarlySync::count(int directory, uint64_t bytes) {
  waiting_ += bytes;
  if (waiting_ < kWorthIt || is_busy()) return;
  Result<sys::Cloned> cloned = sys::clone_process({});
  if (!cloned) return;
  if (cloned->pid == 0) sync_and_exit(directory);
  child_ = sys::Child(cloned->pid, std::move(cloned->pidfd));
  waiting_ = 0;
}

EarlySync::~EarlySync() {
  if (child_.pid() == 0) return;
  // The next sync, if there is one, waits for the same writes.
  static_cast<void>(child_.signal(SIGKILL));
  static_cast<void>(child_.wait());
}

}  // namespace wherry::store
