// Incoming: one half-made thing under <root>/incoming, and who may sweep it away.
//
//   incoming/<random>.lock   held exclusively as long as its maker lives; lists what it is about to
//                            put into or take out of layers/ and blobs/, one a line: "<hex>" a
//                            layer by its diff id, "blob <hex>" a blob; "hold <hex>" is a layer
//                            that must stay as long as the lock is held (store/lease.h)
//   incoming/<random>/       the thing
// An entry whose lock is free belongs to nobody: sweep_incoming removes it, and of the layers and
// blobs it lists those that no record knows, of those it held those that nobody needs. Objects go
// with the last layer or entry that names them (`index`, store/object_index.h); while somebody
// brings layers the entry stays for a later sweep. So a death at any point leaves only what a sweep
// finds, and a sweep costs as much as there is in incoming/, not as the store is large.
#pragma once

#include <string>
#include <vector>

#include "base/digest.h"
#include "state/database.h"
#include "sys/fd.h"
#include "sys/lock.h"

namespace wherry::store {

// The store's directories, opened.
struct Places {
  std::string root;  // absolute
  sys::Fd layers;
  sys::Fd incoming;
  sys::Fd blobs;  // blobs/sha256
  sys::Fd objects;
  sys::Fd trees;
};

// What an entry is about to move, and what it holds.
struct Moves {
  std::vector<Digest> layers;  // diff ids
  std::vector<Digest> blobs;
  std::vector<Digest> held;   // layers
  std::vector<Digest> trees;  // what snapshots are called after (snapshot.h)
};

class Incoming {
 public:
  // Makes the entry with its directory (0700), locked.
  static Result<Incoming> create(const Places& places, state::Database& database);
  Incoming(Incoming&& other) noexcept;
  Incoming& operator=(Incoming&&) = delete;
  // Removes the entry, and what is listed and no record knows. Failures are left to the next sweep.
  ~Incoming();

  const std::string& name() const { return name_; }
  int directory() const { return directory_.get(); }
  int lock_fd() const { return lock_.fd(); }

  // Lists what is going to be moved in the lock file, before that. Synced by the caller or with
  // `sync`.
  Result<void> list(const Moves& moves, bool sync);
  // Renames the directory to layers/<hex>; it belongs to the layers from now on. Within a
  // transaction.
  Result<void> move_to_layers(const Digest& diff_id);
  // Renames the file `name` in the directory to blobs/sha256/<hex>. Within a transaction.
  Result<void> move_to_blobs(const char* name, const Digest& blob);
  // Takes layers/<hex> into this entry, to be removed with it. A missing one is fine.
  Result<void> take_layer(const Digest& diff_id);
  // Removes the entry now, and says how many bytes of objects went with it; the destructor has
  // nothing left to do then. kUnavailable: somebody brings layers just now; a sweep will do it.
  Result<uint64_t> dispose();

 private:
  Incoming(const Places& places, state::Database& database, std::string name, sys::FileLock lock,
           sys::Fd directory)
      : places_(&places),
        database_(&database),
        name_(std::move(name)),
        lock_(std::move(lock)),
        directory_(std::move(directory)) {}

  const Places* places_;  // null: moved from
  state::Database* database_;
  std::string name_;
  sys::FileLock lock_;
  sys::Fd directory_;
};

// Removes every entry that no living process holds.
Result<void> sweep_incoming(const Places& places, state::Database& database);

}  // namespace wherry::store
