// The folder of one container's state below --root, and the root itself.
//
// ROOT/ID/        0700
//   lock          flock: one command changes the container at a time; free when its holder dies
//   state.json    the record; replaced by fsync and rename
//   config.json   the bundle's configuration as it was at create
// A container exists when it has a record. A folder without one is what a killed create or delete
// left: `create` takes it over, `delete --force` removes it.
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "ocicli/record.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::ocicli {

// runc's: letters, digits, '_', '+', '-' and '.', not "." or "..". At most 1024 bytes.
bool valid_id(std::string_view id);

class ContainerDir {
 public:
  // For a new container: made and locked, empty. kConflict when the container exists.
  static Result<ContainerDir> create(const std::string& root, const std::string& id);
  // An existing container, not locked; kNotFound "container does not exist".
  static Result<ContainerDir> open(const std::string& root, const std::string& id);
  // As open, locked: waits for the command that holds it.
  static Result<ContainerDir> lock(const std::string& root, const std::string& id);
  // Locked, whether it has a record or not; nullopt when there is no folder.
  static Result<std::optional<ContainerDir>> lock_remains(const std::string& root,
                                                          const std::string& id);

  int fd() const { return dir_.get(); }
  std::string path() const { return root_ + "/" + id_; }

  bool has_record() const;
  Result<Record> read() const;
  Result<void> write(const Record& record) const;
  // What the record and the kernel say together.
  Result<Status> status(const Record& record) const;
  // As status, but a paused container is running: for who asks its cgroup anyway.
  Result<Status> status_of_init(const Record& record) const;

  // False: another command holds it.
  Result<bool> try_lock();
  void unlock() { lock_.reset(); }
  // First the record, so that the container is gone from then on whatever happens.
  Result<void> remove();

 private:
  ContainerDir(std::string root, std::string id, sys::Fd parent, sys::Fd dir)
      : root_(std::move(root)),
        id_(std::move(id)),
        parent_(std::move(parent)),
        dir_(std::move(dir)) {}
  static Result<ContainerDir> open_folder(const std::string& root, const std::string& id);

  std::string root_;
  std::string id_;
  sys::Fd parent_;
  sys::Fd dir_;
  std::optional<sys::FileLock> lock_;
};

// kUnsupported for a container that was made without a cgroup (--cgroup-manager disabled).
Result<void> need_cgroup(const Record& record);

// The ids of all containers below `root`, sorted; none when there is no root.
Result<std::vector<std::string>> container_ids(const std::string& root);

// The state letter of a process that has this start time ('R', 'S', 'Z', ...); nullopt: it is gone.
std::optional<char> process_state(pid_t pid, uint64_t start_time);

// The name of a user in the host's /etc/passwd, else the number.
std::string user_name(uint32_t uid);

}  // namespace wherry::ocicli
