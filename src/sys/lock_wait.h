// Waiting for a lock: nobody should stare at a silent command because another one is stopped.
//
// A front end registers an observer; it is called once per wait, from the waiting thread, when a
// lock was not to be had for kLockPatienceMs. Libraries say nothing themselves. Who holds a lock is
// in /proc/locks: nobody, when the holder lives in another PID namespace.
#pragma once

#include <sys/types.h>

#include <optional>
#include <string>

namespace wherry::sys {

inline constexpr int kLockPatienceMs = 3000;

struct LockHolder {
  pid_t pid = 0;
  std::string command;   // its arguments, separated by spaces
  bool stopped = false;  // by a signal or a debugger
};

// `name`: of the lock, as it was acquired.
using LockWaitObserver = void (*)(const std::string& name, const std::optional<LockHolder>& holder);
// For the whole program; nullptr: nobody.
void observe_lock_waits(LockWaitObserver observer);
// For those who wait by their own means: calls the observer about the lock on the file `path`.
void tell_lock_wait(const std::string& name, const std::string& path);

// Who holds an exclusive lock on the file.
std::optional<LockHolder> lock_holder(dev_t device, ino_t inode);
std::optional<LockHolder> lock_holder(const std::string& path);

// flock(2) that tells the observer when it takes long. 0, or -1 with errno.
int wait_for_flock(int fd, int operation, const std::string& name);

}  // namespace wherry::sys
