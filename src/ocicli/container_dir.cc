#include "ocicli/container_dir.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/failpoint.h"
#include "base/text.h"
#include "runtime/container.h"
#include "sys/file.h"

namespace wherry::ocicli {
namespace {

constexpr const char* kRecord = "state.json";
constexpr const char* kLock = "lock";
constexpr size_t kRecordLimit = 1u << 20;
constexpr size_t kPasswdLimit = 1u << 20;

Error does_not_exist() {
  return Error(ErrorKind::kNotFound, "container does not exist");
}

Error exists() {
  return Error(ErrorKind::kConflict, "container with given ID already exists");
}

Error invalid_id() {
  return Error(ErrorKind::kInvalidArgument, "invalid container ID format");
}

bool missing(const Error& error) {
  return error.errnum() == ENOENT;
}

bool executes_this_program(pid_t pid) {
  struct stat ours{};
  struct stat theirs{};
  return stat("/proc/self/exe", &ours) == 0 &&
         stat(("/proc/" + std::to_string(pid) + "/exe").c_str(), &theirs) == 0 &&
         ours.st_dev == theirs.st_dev && ours.st_ino == theirs.st_ino;
}

}  // namespace

bool valid_id(std::string_view id) {
  if (id.empty() || id == "." || id == ".." || id.size() > 1024) return false;
  return std::ranges::all_of(id, [](unsigned char c) {
    return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || (c >= '0' && c <= '9') || c == '_' ||
           c == '+' || c == '-' || c == '.';
  });
}

Result<ContainerDir> ContainerDir::open_folder(const std::string& root, const std::string& id) {
  if (!valid_id(id)) return invalid_id();
  Result<sys::Fd> parent = sys::open_file(root, O_RDONLY | O_DIRECTORY);
  if (!parent) return missing(parent.error()) ? does_not_exist() : std::move(parent.error());
  Result<sys::Fd> dir = sys::open_at(parent->get(), id, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!dir) return missing(dir.error()) ? does_not_exist() : std::move(dir.error());
  return ContainerDir(root, id, std::move(*parent), std::move(*dir));
}

Result<ContainerDir> ContainerDir::create(const std::string& root, const std::string& id) {
  if (!valid_id(id)) return invalid_id();
  TRY_CTX(sys::Fd parent, sys::make_dirs(root, 0700), "cannot make the root of the states");
  if (mkdirat(parent.get(), id.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::from_errno(errno, "cannot make '" + root + "/" + id + "'");
  TRY(ContainerDir container, open_folder(root, id));
  TRY(container.lock_,
      sys::FileLock::try_acquire(container.fd(), kLock, sys::FileLock::Mode::kExclusive));
  if (!container.lock_ || container.has_record()) return exists();
  // A delete that held the lock before us has taken the folder away.
  if (!sys::exists_at(container.parent_.get(), id)) return does_not_exist();
  TRY(std::vector<std::string> remains, sys::list_dir(container.fd()));
  for (const std::string& name : remains)
    if (name != kLock) TRY_VOID(sys::remove_tree_at(container.fd(), name));
  return container;
}

Result<ContainerDir> ContainerDir::open(const std::string& root, const std::string& id) {
  TRY(ContainerDir container, open_folder(root, id));
  if (!container.has_record()) return does_not_exist();
  return container;
}

Result<std::optional<ContainerDir>> ContainerDir::lock_remains(const std::string& root,
                                                               const std::string& id) {
  Result<ContainerDir> container = open_folder(root, id);
  if (!container) {
    if (container.error().kind() == ErrorKind::kNotFound) return std::nullopt;
    return std::move(container.error());
  }
  Result<sys::FileLock> lock =
      sys::FileLock::acquire(container->fd(), kLock, sys::FileLock::Mode::kExclusive);
  if (!lock) {
    // Removed while we came: no lock can be made in it.
    if (missing(lock.error())) return std::nullopt;
    return std::move(lock.error());
  }
  container->lock_ = std::move(*lock);
  return std::optional<ContainerDir>(std::move(*container));
}

Result<ContainerDir> ContainerDir::lock(const std::string& root, const std::string& id) {
  TRY_VOID(open(root, id));
  TRY(std::optional<ContainerDir> container, lock_remains(root, id));
  if (!container || !container->has_record()) return does_not_exist();
  return std::move(*container);
}

bool ContainerDir::has_record() const {
  return sys::exists_at(dir_.get(), kRecord);
}

Result<Record> ContainerDir::read() const {
  Result<sys::Fd> file = sys::open_at(dir_.get(), kRecord, O_RDONLY | O_NOFOLLOW);
  if (!file) return missing(file.error()) ? does_not_exist() : std::move(file.error());
  TRY(std::string text, sys::read_all(file->get(), kRecordLimit));
  return parse_record(text);
}

Result<void> ContainerDir::write(const Record& record) const {
  return sys::write_file_atomic(dir_.get(), kRecord, to_json(record), 0600, sys::Sync::kFull);
}

Result<Status> ContainerDir::status_of_init(const Record& record) const {
  if (record.phase == Record::Phase::kCreating) {
    // Whoever makes it holds the lock: a free one means that the maker has died.
    if (lock_) return Status::kStopped;
    TRY(bool held, sys::is_locked(dir_.get(), kLock));
    return held ? Status::kCreating : Status::kStopped;
  }
  std::optional<char> state = process_state(record.pid, record.start_time);
  if (!state || *state == 'Z' || *state == 'X') return Status::kStopped;
  if (record.phase == Record::Phase::kCreated) return Status::kCreated;
  // A `start` that was killed, or is at work: the init is still this program, or no more.
  bool waits = record.phase == Record::Phase::kStarting && executes_this_program(record.pid);
  return waits ? Status::kCreated : Status::kRunning;
}

Result<Status> ContainerDir::status(const Record& record) const {
  TRY(Status status, status_of_init(record));
  bool lives = status == Status::kCreated || status == Status::kRunning;
  if (!lives || record.cgroup.path.empty()) return status;
  TRY(bool frozen, runtime::cgroup_frozen(record.cgroup.path));
  return frozen ? Status::kPaused : status;
}

Result<bool> ContainerDir::try_lock() {
  TRY(lock_, sys::FileLock::try_acquire(dir_.get(), kLock, sys::FileLock::Mode::kExclusive));
  return lock_.has_value();
}

Result<void> ContainerDir::remove() {
  TRY_VOID(failpoint("oci.remove.begin"));
  if (unlinkat(dir_.get(), kRecord, 0) != 0 && errno != ENOENT)
    return Error::from_errno(errno, "cannot remove '" + path() + "/" + kRecord + "'");
  TRY_VOID(failpoint("oci.remove.record"));
  for (;;) {
    Result<void> removed = sys::remove_tree_at(parent_.get(), id_);
    if (removed || removed.error().errnum() != ENOTEMPTY) return removed;
    // Another command has come when the lock was gone already, and has made one of its own. Who
    // holds that has the folder; it is ours again when nobody does.
    Result<bool> ours = try_lock();
    if (!ours) return missing(ours.error()) ? Result<void>() : std::move(ours.error());
    if (!*ours || has_record()) return {};
  }
}

Result<void> need_cgroup(const Record& record) {
  if (!record.cgroup.path.empty()) return {};
  return Error(ErrorKind::kUnsupported, "the container '" + record.id + "' has no cgroup")
      .set_hint("it was made with '--cgroup-manager disabled'");
}

Result<std::vector<std::string>> container_ids(const std::string& root) {
  Result<sys::Fd> dir = sys::open_file(root, O_RDONLY | O_DIRECTORY);
  if (!dir) {
    if (missing(dir.error())) return std::vector<std::string>{};
    return std::move(dir.error());
  }
  TRY(std::vector<std::string> names, sys::list_dir(dir->get()));
  std::erase_if(names, [&](const std::string& name) {
    return !valid_id(name) || !sys::exists_at(dir->get(), name + "/" + kRecord);
  });
  return names;
}

std::optional<char> process_state(pid_t pid, uint64_t start_time) {
  if (pid <= 0) return std::nullopt;
  Result<std::string> text =
      sys::read_file("/proc/" + std::to_string(pid) + "/stat", size_t{64} << 10);
  if (!text) return std::nullopt;
  // The name may hold anything, blanks and parentheses too: fields count from the last one.
  size_t name_end = text->rfind(')');
  if (name_end == std::string::npos) return std::nullopt;
  std::vector<std::string_view> fields = split(std::string_view(*text).substr(name_end + 2), ' ');
  constexpr size_t kStartTime = 22 - 3;  // proc_pid_stat(5); the first one here is field 3
  if (fields.size() <= kStartTime || fields[0].size() != 1) return std::nullopt;
  if (parse_u64(fields[kStartTime]) != start_time) return std::nullopt;
  return fields[0][0];
}

std::string user_name(uint32_t uid) {
  std::string number = std::to_string(uid);
  Result<std::string> passwd = sys::read_file("/etc/passwd", kPasswdLimit);
  if (!passwd) return number;
  for (std::string_view line : split(*passwd, '\n')) {
    std::vector<std::string_view> fields = split(line, ':');
    if (fields.size() > 2 && fields[2] == number) return std::string(fields[0]);
  }
  return number;
}

}  // namespace wherry::ocicli
