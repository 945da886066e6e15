#include "engine/local.h"

#include <sys/stat.h>

#include "base/clock.h"
#include "base/names.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "sys/file.h"
#include "sys/populate.h"
#include "sys/sha256.h"

namespace wherry::engine {
namespace {

// What a container's run takes.
constexpr size_t kHeap = 256 << 10;

constexpr const char* kDefaultRoot = "/var/lib/wherry";

// Two spellings of one directory must give one tag.
Result<std::string> canonical(const std::string& path) {
  char* resolved = realpath(path.c_str(), nullptr);
  if (resolved == nullptr) return Error::from_errno(errno, "cannot resolve '" + path + "'");
  std::string text(resolved);
  free(resolved);
  return text;
}

Result<Paths> resolve_paths(const LocalOptions& options) {
  Paths paths;
  TRY(paths.root, canonical(options.root));
  TRY(paths.run_root, canonical(options.run_root));
  if (paths.root != kDefaultRoot) paths.tag = sys::sha256(paths.root).hex().substr(0, 8);
  paths.cgroup_parent = paths.tag.empty() ? "/wherry" : "/wherry-" + paths.tag;
  return paths;
}

// Even a command that only reads takes some room: SQLite makes its shared memory anew.
Result<state::Database> open_state(int root_dir, const std::string& root) {
  Result<state::Database> first = state::Database::open(root);
  if (first || first.error().errnum() != ENOSPC || !give_up_reserve(root_dir)) return first;
  Result<state::Database> again = state::Database::open(root);
  ensure_reserve(root_dir);
  return again;
}

}  // namespace

Result<std::unique_ptr<Engine>> open_local(const LocalOptions& options) {
  return LocalEngine::open(options);
}

Result<std::unique_ptr<Engine>> LocalEngine::open(const LocalOptions& options) {
  TraceScope trace("engine.open");
  if (geteuid() != 0)
    return Error(ErrorKind::kPermissionDenied,
                 "permission denied: containers need root on this machine")
        .set_hint("run the command with sudo, or as root");
  sys::populate_heap(kHeap);
  Fds fds;
  for (const std::string* root : {&options.root, &options.run_root})
    if (!root->starts_with('/'))
      return Error(ErrorKind::kInvalidArgument,
                   "root directory '" + *root + "' must be an absolute path");
  TRY(fds.root, sys::make_dirs(options.root, 0700));
  TRY(fds.run, sys::make_dirs(options.run_root, 0700));
  TRY(fds.containers, sys::make_dir_at(fds.root.get(), "containers", 0700));
  TRY(fds.run_containers, sys::make_dir_at(fds.run.get(), "containers", 0700));
  TRY(fds.locks, sys::make_dir_at(fds.run.get(), "locks", 0700));
  TRY(Paths paths, resolve_paths(options));
  std::optional<Advance> advance;
  if (options.runs_next) {
    TRY(Advance made, begin_run(fds, paths, random_id(), *options.runs_next));
    advance.emplace(std::move(made));
  }
  TRY(state::Database database, open_state(fds.root.get(), paths.root));
  return std::unique_ptr<Engine>(new LocalEngine(options, std::move(paths), std::move(fds),
                                                 std::move(database), std::move(advance)));
}

LocalEngine::LocalEngine(LocalOptions options, Paths paths, Fds fds, state::Database database,
                         std::optional<Advance> advance)
    : options_(std::move(options)),
      paths_(std::move(paths)),
      fds_(std::move(fds)),
      database_(std::move(database)),
      networks_(database_, fds_.run.get(), paths_.tag),
      advance_(std::move(advance)) {}

Result<store::Store*> LocalEngine::store() {
  if (!store_) {
    TRY(store::Store opened,
        store::Store::open(database_, paths_.root,
                           {fds_.run.get(), options_.storage_driver, options_.max_layer_entries}));
    store_.emplace(std::move(opened));
  }
  return &*store_;
}

Result<sys::FileLock> LocalEngine::lock_container(const std::string& id) {
  return sys::FileLock::acquire(fds_.locks.get(), id, sys::FileLock::Mode::kExclusive);
}

Result<std::optional<sys::FileLock>> LocalEngine::try_lock_container(const std::string& id) {
  return sys::FileLock::try_acquire(fds_.locks.get(), id, sys::FileLock::Mode::kExclusive);
}

void LocalEngine::drop_lock_file(const std::string& id) {
  unlinkat(fds_.locks.get(), id.c_str(), 0);
}

Result<ContainerRecord> LocalEngine::find_record(const std::string& name) {
  // Docker's inspect prints names with a slash and scripts give them back so.
  std::string_view plain = name;
  if (plain.starts_with('/')) plain.remove_prefix(1);
  TRY(state::ContainerRow row, state::find_container(database_, plain));
  TRY_CTX(ContainerRecord record, parse_record(row.record), "cannot read container '" + name + "'");
  return record;
}

Result<std::optional<ContainerRecord>> LocalEngine::reload(const std::string& id) {
  Result<ContainerRecord> record = find_record(id);
  if (record) return std::optional(std::move(*record));
  if (record.error().kind() == ErrorKind::kNotFound) return std::optional<ContainerRecord>();
  return std::move(record.error());
}

state::ContainerRow LocalEngine::row_of(const ContainerRecord& record) {
  return {record.id, record.name, record.image_id, parse_rfc3339(record.created).value_or(0),
          to_json(record)};
}

Result<void> LocalEngine::save(const ContainerRecord& record, state::Durability durability) {
  return with_reserve(fds_.root.get(), [&]() -> Result<void> {
    TRY(auto transaction, database_.begin(durability));
    TRY_VOID(state::update_container(database_, row_of(record)));
    return transaction.commit();
  });
}

}  // namespace wherry::engine
