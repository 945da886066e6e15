#include "monitor/run_files.h"

#include "sys/file.h"

namespace wherry::monitor {
namespace {

constexpr const char* kLock = "monitor.lock";
constexpr const char* kState = "state.json";
constexpr const char* kSocket = "monitor.sock";

}  // namespace

Result<RunFiles> RunFiles::open(const std::string& run_dir) {
  TRY(sys::Fd dir, sys::open_file(run_dir, O_RDONLY | O_DIRECTORY));
  TRY(std::optional<sys::FileLock> lock,
      sys::FileLock::try_acquire(dir.get(), kLock, sys::FileLock::Mode::kExclusive));
  if (!lock) return Error(ErrorKind::kConflict, "a monitor already serves '" + run_dir + "'");
  return RunFiles(std::move(dir), std::move(*lock));
}

Result<void> RunFiles::write(const RunState& state) {
  return sys::write_file_atomic(dir_.get(), kState, to_json(state), 0600, sys::Sync::kNone);
}

void RunFiles::release() {
  if (!lock_) return;
  unlinkat(dir_.get(), kSocket, 0);
  lock_.reset();
}

void RunFiles::remove_all() {
  if (!lock_) return;
  unlinkat(dir_.get(), kState, 0);
  unlinkat(dir_.get(), kSocket, 0);
  unlinkat(dir_.get(), kLock, 0);
  lock_.reset();
}

}  // namespace wherry::monitor
