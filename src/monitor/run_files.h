// The monitor's own files in its run directory: monitor.lock, state.json, monitor.sock.
//
// The lock is held until the end is on file; after release() this monitor touches nothing in the
// directory any more, because another one may serve the container's next run from it.
#pragma once

#include <optional>
#include <string>

#include "monitor/protocol.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::monitor {

class RunFiles {
 public:
  // Opens the directory and takes the lock; held by another: kConflict.
  static Result<RunFiles> open(const std::string& run_dir);

  int dir() const { return dir_.get(); }
  Result<void> write(const RunState& state);
  // Removes the socket and frees the lock.
  void release();
  // Removes everything of ours: as if there had never been a monitor.
  void remove_all();

 private:
  RunFiles(sys::Fd dir, sys::FileLock lock) : dir_(std::move(dir)), lock_(std::move(lock)) {}
  sys::Fd dir_;
  std::optional<sys::FileLock> lock_;
};

}  // namespace wherry::monitor
