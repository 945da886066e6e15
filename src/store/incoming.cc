#include "store/incoming.h"

#include <fcntl.h>
#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <optional>

#include "base/failpoint.h"
#include "base/names.h"
#include "base/text.h"
#include "state/blobs.h"
#include "state/images.h"
#include "state/trees.h"
#include "store/farm.h"
#include "store/objects.h"
#include "store/own_spans.h"
#include "store/snapshot.h"
#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr std::string_view kLockSuffix = ".lock";
constexpr std::string_view kBlobLine = "blob ";
constexpr std::string_view kHoldLine = "hold ";
constexpr std::string_view kTreeLine = "tree ";
constexpr size_t kMaxLockFile = 16u << 20;

std::string lock_name(const std::string& name) {
  return name + std::string(kLockSuffix);
}

Result<Moves> listed(int lock_fd) {
  if (lseek(lock_fd, 0, SEEK_SET) < 0) return Error::from_errno(errno, "cannot read a lock file");
  TRY(std::string text, sys::read_all(lock_fd, kMaxLockFile));
  Moves moves;
  for (std::string_view line : split(text, '\n')) {
    std::vector<Digest>* list = &moves.layers;
    if (line.starts_with(kBlobLine)) list = &moves.blobs;
    if (line.starts_with(kHoldLine)) list = &moves.held;
    if (line.starts_with(kTreeLine)) list = &moves.trees;
    if (list != &moves.layers) line.remove_prefix(kBlobLine.size());
    // A line cut short by a power cut names something that was not moved yet.
    if (Result<Digest> digest = Digest::from_hex(line)) list->push_back(std::move(*digest));
  }
  return moves;
}

// Renames `from` to `to` below incoming/; one that is missing is fine.
Result<void> move_away(const Places& places, int from, const Digest& digest,
                       const std::string& to) {
  if (renameat(from, digest.hex().c_str(), places.incoming.get(), to.c_str()) == 0 ||
      errno == ENOENT)
    return {};
  return Error::from_errno(errno, "cannot take away '" + digest.str() + "'");
}

Result<void> make_entry_dir(const Places& places, const std::string& name) {
  if (mkdirat(places.incoming.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
    return Error::from_errno(errno, "cannot make directory '" + name + "'");
  return {};
}

// Of what is listed, that which no record knows.
Result<Moves> unrecorded(state::Database& database, const Moves& moves) {
  Moves found;
  for (const Digest& diff_id : moves.layers) {
    TRY(auto record, state::get_layer(database, diff_id.str()));
    if (!record) found.layers.push_back(diff_id);
  }
  for (const Digest& blob : moves.blobs) {
    TRY(auto record, state::get_blob(database, blob.str()));
    if (!record) found.blobs.push_back(blob);
  }
  for (const Digest& tree : moves.trees) {
    TRY(bool needed, is_snapshot_needed(database, tree));
    if (!needed) found.trees.push_back(tree);
  }
  return found;
}

bool is_empty(const Moves& moves) {
  return moves.layers.empty() && moves.blobs.empty() && moves.trees.empty();
}

// What is listed and no record knows goes into the entry, so that it is removed with it. Under the
// writers' lock: a commit of the same layer either has its record by now or has not moved it yet.
Result<void> take_unrecorded(const Places& places, state::Database& database,
                             const std::string& name, const Moves& listed) {
  TRY(Moves moves, unrecorded(database, listed));
  if (is_empty(moves)) return {};
  TRY(auto transaction, database.begin(state::Durability::kRelaxed));
  TRY(moves, unrecorded(database, listed));
  TRY_VOID(make_entry_dir(places, name));
  for (const Digest& diff_id : moves.layers)
    TRY_VOID(move_away(places, places.layers.get(), diff_id, name + "/" + diff_id.hex()));
  for (const Digest& blob : moves.blobs)
    TRY_VOID(move_away(places, places.blobs.get(), blob, name + "/blob-" + blob.hex()));
  TRY(sys::Fd entry,
      sys::open_at(places.incoming.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
  std::vector<std::string> bases;
  for (const Digest& tree : moves.trees) bases.push_back(tree.hex());
  take_snapshots(places, entry.get(), bases);
  return transaction.commit();
}

// The objects that the entry's own layer and those it has taken name.
Result<std::vector<ObjectRef>> named_objects(const Places& places, const std::string& name) {
  std::vector<ObjectRef> refs;
  auto add = [&](int layer) {
    // One that is missing or torn was not acted upon yet.
    Result<ObjectIndex> index = ObjectIndex::open(layer);
    if (index) refs.insert(refs.end(), index->refs().begin(), index->refs().end());
  };
  Result<sys::Fd> entry =
      sys::open_at(places.incoming.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!entry && entry.error().errnum() == ENOENT) return refs;
  if (!entry) return std::move(entry.error());
  add(entry->get());
  TRY(std::vector<std::string> inside, sys::list_dir(entry->get()));
  for (const std::string& folder : inside) {
    if (!Digest::from_hex(folder)) continue;
    TRY(sys::Fd layer, sys::open_at(entry->get(), folder, O_RDONLY | O_DIRECTORY | O_NOFOLLOW));
    add(layer.get());
  }
  std::ranges::sort(refs);
  refs.erase(std::ranges::unique(refs).begin(), refs.end());
  return refs;
}

// Of checkouts on the rung farm, taken or not finished.
bool has_links(const Places& places, const std::string& name) {
  if (!sys::exists_at(places.incoming.get(), "../" + std::string(kFarm))) return false;
  Result<sys::Fd> entry =
      sys::open_at(places.incoming.get(), name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!entry) return false;
  Result<std::vector<std::string>> inside = sys::list_dir(entry->get());
  return !inside || std::ranges::any_of(*inside, [&](const std::string& each) {
    struct stat info{};
    return each.contains(".farm") ||
           (each == kNewSnapshot && fstatat(entry->get(), kNewSnapshot, &info, 0) == 0 &&
            S_ISDIR(info.st_mode));
  });
}

Result<void> remove_folder(const Places& places, const std::string& name) {
  std::optional<Removal> removal;
  if (has_links(places, name)) removal.emplace(places.root);
  return sys::remove_tree_at(places.incoming.get(), name);
}

// The lock is held by the caller. The bytes of objects that went.
Result<uint64_t> remove_entry(const Places& places, state::Database& database,
                              const std::string& name, int lock_fd) {
  TRY(Moves moves, listed(lock_fd));
  TRY_VOID(take_unrecorded(places, database, name, moves));
  if (!moves.held.empty()) TRY_VOID(forget_unneeded_layers(places, database, moves.held, name));
  TRY(std::vector<ObjectRef> objects, named_objects(places, name));
  TRY(uint64_t bytes, release_objects(places, std::move(objects)));
  TRY_VOID(failpoint("store.entry.emptied"));
  TRY_VOID(remove_folder(places, name));
  // The lock file goes last: while it is there a sweep finds what is left.
  unlinkat(places.incoming.get(), lock_name(name).c_str(), 0);
  return bytes;
}

}  // namespace

Result<Incoming> Incoming::create(const Places& places, state::Database& database) {
  std::string name = random_id().substr(0, 16);
  TRY(sys::FileLock lock, sys::FileLock::acquire(places.incoming.get(), lock_name(name),
                                                 sys::FileLock::Mode::kExclusive));
  Result<sys::Fd> directory = sys::make_dir_at(places.incoming.get(), name, 0700);
  if (!directory) {
    unlinkat(places.incoming.get(), lock_name(name).c_str(), 0);
    return std::move(directory.error());
  }
  return Incoming(places, database, std::move(name), std::move(lock), std::move(*directory));
}

Incoming::Incoming(Incoming&& other) noexcept
    : places_(std::exchange(other.places_, nullptr)),
      database_(other.database_),
      name_(std::move(other.name_)),
      lock_(std::move(other.lock_)),
      directory_(std::move(other.directory_)) {}

Incoming::~Incoming() {
  if (places_ != nullptr) [[maybe_unused]]
    Result<uint64_t> left_to_sweep = dispose();
}

Result<uint64_t> Incoming::dispose() {
  const Places* places = std::exchange(places_, nullptr);
  return remove_entry(*places, *database_, name_, lock_.fd());
}

Result<void> Incoming::list(const Moves& moves, bool sync) {
  std::string text;
  for (const Digest& diff_id : moves.layers) text += diff_id.hex() + "\n";
  for (const Digest& blob : moves.blobs) text += std::string(kBlobLine) + blob.hex() + "\n";
  for (const Digest& diff_id : moves.held) text += std::string(kHoldLine) + diff_id.hex() + "\n";
  for (const Digest& tree : moves.trees) text += std::string(kTreeLine) + tree.hex() + "\n";
  TRY_VOID_CTX(sys::write_all(lock_.fd(), text), "cannot write '" + lock_name(name_) + "'");
  if (sync && fsync(lock_.fd()) != 0)
    return Error::from_errno(errno, "cannot sync '" + lock_name(name_) + "'");
  return {};
}

Result<void> Incoming::move_to_layers(const Digest& diff_id) {
  if (renameat(places_->incoming.get(), name_.c_str(), places_->layers.get(),
               diff_id.hex().c_str()) != 0)
    return Error::from_errno(errno, "cannot put layer '" + diff_id.str() + "' in its place");
  return {};
}

Result<void> Incoming::move_to_blobs(const char* name, const Digest& blob) {
  if (renameat(directory_.get(), name, places_->blobs.get(), blob.hex().c_str()) != 0)
    return Error::from_errno(errno, "cannot put blob '" + blob.str() + "' in its place");
  return {};
}

Result<void> Incoming::take_layer(const Digest& diff_id) {
  return move_away(*places_, places_->layers.get(), diff_id, name_ + "/" + diff_id.hex());
}

Result<std::set<std::string>> leased_layers(const Places& places, const std::string& except) {
  TRY(std::vector<std::string> names, sys::list_dir(places.incoming.get()));
  std::set<std::string> held;
  for (const std::string& name : names) {
    if (!name.ends_with(kLockSuffix) || name == lock_name(except)) continue;
    Result<sys::Fd> file = sys::open_at(places.incoming.get(), name, O_RDONLY | O_NOFOLLOW);
    if (!file && file.error().errnum() == ENOENT) continue;
    if (!file) return std::move(file.error());
    TRY(Moves moves, listed(file->get()));
    if (moves.held.empty()) continue;
    TRY(bool alive, sys::is_locked(places.incoming.get(), name));
    if (!alive) continue;
    for (const Digest& diff_id : moves.held) held.insert(diff_id.hex());
  }
  return held;
}

Result<void> sweep_incoming(const Places& places, state::Database& database) {
  TRY(std::vector<std::string> names, sys::list_dir(places.incoming.get()));
  for (std::string& name : names)
    if (name.ends_with(kLockSuffix)) name.resize(name.size() - kLockSuffix.size());
  std::ranges::sort(names);
  names.erase(std::ranges::unique(names).begin(), names.end());
  Result<void> first;
  for (const std::string& name : names) {
    TRY(auto lock, sys::FileLock::try_acquire(places.incoming.get(), lock_name(name),
                                              sys::FileLock::Mode::kExclusive));
    if (!lock) continue;
    Result<uint64_t> removed = remove_entry(places, database, name, lock->fd());
    if (removed || removed.error().kind() == ErrorKind::kUnavailable) continue;
    if (first) first = std::move(removed.error());
  }
  return first;
}

}  // namespace wherry::store
