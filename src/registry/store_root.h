// The registry's directory: who holds it, and the few durable steps everything on disk is made of.
// The layout and what a crash leaves is in docs/formats/registry.md.
//
// One server per root: open() takes an exclusive lock and empties the folder of temporary files.
// All names given here are validated ones (registry/route.h). Thread-safe.
#pragma once

#include <memory>
#include <mutex>
#include <optional>
#include <string>
#include <string_view>
#include <unordered_set>
#include <vector>

#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::registry {

class StoreRoot {
 public:
  enum class Use {
    kServe,    // locks the root; kConflict when another server holds it
    kCollect,  // beside a running server; a missing root is an error
  };
  // Makes the root (0700) and what is in it when missing, durably.
  static Result<StoreRoot> open(const std::string& path, Use use);

  int fd() const { return root_.get(); }
  // The path it was opened by, for messages.
  const std::string& path() const { return path_; }

  // Makes the directory and its parents; their names are durable when it returns. Relative path.
  Result<void> ensure_dir(const std::string& relative);
  // Replaces or makes dir/name: the old content or the new, durable when it returns.
  Result<void> replace_file(const std::string& dir, const std::string& name, std::string_view data);
  // Renames root/`from` to dir/name and makes that durable. The file itself must be synced.
  Result<void> move_in(const std::string& from, const std::string& dir, const std::string& name);
  // Makes an empty dir/name, durably; one that is there gets a fresh modification time.
  Result<void> add_mark(const std::string& dir, const std::string& name);
  // Removes dir/name, durably. False: it was not there.
  Result<bool> remove_file(const std::string& dir, const std::string& name);

  bool exists(const std::string& relative) const;
  // nullopt when missing; more than `limit` bytes is an error.
  Result<std::optional<std::string>> read(const std::string& relative, size_t limit) const;
  // The names in a directory, sorted; none when it is missing.
  Result<std::vector<std::string>> list(const std::string& relative) const;
  Result<sys::Fd> open_dir(const std::string& relative) const;

  // Held shared while an upload or manifest becomes visible, exclusively while garbage is taken
  // away: see collect.h.
  Result<sys::FileLock> collection_lock(sys::FileLock::Mode mode) const;

 private:
  StoreRoot(std::string path, sys::Fd root) : path_(std::move(path)), root_(std::move(root)) {}
  Result<void> prepare(Use use);

  std::string path_;
  sys::Fd root_;
  std::optional<sys::FileLock> lock_;
  // Directories whose names this process has made durable: others may exist and not be.
  struct Known {
    std::mutex mutex;
    std::unordered_set<std::string> dirs;
  };
  std::unique_ptr<Known> known_ = std::make_unique<Known>();
};

}  // namespace wherry::registry
