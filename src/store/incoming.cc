#include "store/incoming.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>

#include "base/names.h"
#include "base/text.h"
#include "state/images.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr std::string_view kLockSuffix = ".lock";
constexpr size_t kMaxLockFile = 1u << 20;

std::string lock_name(const std::string& name) {
  return name + std::string(kLockSuffix);
}

Result<std::vector<Digest>> listed_layers(int lock_fd) {
  if (lseek(lock_fd, 0, SEEK_SET) < 0) return Error::from_errno(errno, "cannot read a lock file");
  TRY(std::string text, sys::read_all(lock_fd, kMaxLockFile));
  std::vector<Digest> layers;
  for (std::string_view line : split(text, '\n')) {
    // A line cut short by a power cut names a layer that was not moved yet.
    if (Result<Digest> digest = Digest::from_hex(line)) layers.push_back(std::move(*digest));
  }
  return layers;
}

Result<void> move_away(const Places& places, const std::string& name, const Digest& diff_id) {
  std::string target = name + "/" + diff_id.hex();
  if (renameat(places.layers.get(), diff_id.hex().c_str(), places.incoming.get(), target.c_str()) ==
      0)
    return {};
  if (errno == ENOENT) return {};
  return Error::from_errno(errno, "cannot take away layer '" + diff_id.str() + "'");
}

// Layers on the list that no record knows go into the entry, so that they are removed with it.
// Under the writers' lock: an import of the same layer either has its record by now or has not
// moved it yet.
Result<void> take_unrecorded(const Places& places, state::Database& database,
                             const std::string& name, int lock_fd) {
  TRY(std::vector<Digest> layers, listed_layers(lock_fd));
  if (layers.empty()) return {};
  TRY(auto transaction, database.begin(state::Durability::kRelaxed));
  for (const Digest& diff_id : layers) {
    TRY(auto record, state::get_layer(database, diff_id.str()));
    if (record || !sys::exists_at(places.layers.get(), diff_id.hex())) continue;
    if (mkdirat(places.incoming.get(), name.c_str(), 0700) != 0 && errno != EEXIST)
      return Error::from_errno(errno, "cannot make directory '" + name + "'");
    TRY_VOID(move_away(places, name, diff_id));
  }
  return transaction.commit();
}

// The lock is held by the caller.
Result<void> remove_entry(const Places& places, state::Database& database, const std::string& name,
                          int lock_fd) {
  Result<void> taken = take_unrecorded(places, database, name, lock_fd);
  Result<void> removed = sys::remove_tree_at(places.incoming.get(), name);
  // The lock file goes last: while it is there a sweep finds what is left.
  if (taken && removed) unlinkat(places.incoming.get(), lock_name(name).c_str(), 0);
  return taken ? removed : taken;
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
  if (places_ == nullptr) return;
  [[maybe_unused]] Result<void> left_to_sweep =
      remove_entry(*places_, *database_, name_, lock_.fd());
}

Result<void> Incoming::list_layers(const std::vector<Digest>& diff_ids, bool sync) {
  std::string text;
  for (const Digest& diff_id : diff_ids) text += diff_id.hex() + "\n";
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

Result<void> Incoming::take_layer(const Digest& diff_id) {
  return move_away(*places_, name_, diff_id);
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
    Result<void> removed = remove_entry(places, database, name, lock->fd());
    if (!removed && first) first = std::move(removed);
  }
  return first;
}

}  // namespace wherry::store
