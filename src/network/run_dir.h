// <run root>/network: the lock of all network changes of a root, its leases, and small boot-scoped
// notes.
#pragma once

#include <optional>
#include <string>

#include "network/leases.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::network {

class RunDir {
 public:
  // Makes the directory (0700) when it is missing.
  static Result<RunDir> open(int run_root_fd);

  // Exclusive among all processes of the root. Leases and notes are changed under it only.
  Result<sys::FileLock> lock() const;
  // nullopt: another process holds it.
  Result<std::optional<sys::FileLock>> try_lock() const;

  Result<Leases> read_leases() const;  // none yet: empty
  Result<void> write_leases(const Leases& leases) const;

  // A note is one short file; nullopt when missing.
  Result<std::optional<std::string>> read_note(const std::string& name) const;
  Result<void> write_note(const std::string& name, std::string_view text) const;
  void remove_note(const std::string& name) const;

  // What killed writers left. Under the lock.
  Result<void> remove_temp_files() const;

 private:
  explicit RunDir(sys::Fd fd) : fd_(std::move(fd)) {}
  sys::Fd fd_;
};

}  // namespace wherry::network
