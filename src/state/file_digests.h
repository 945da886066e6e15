// What files contained when they were last read, so that a build reads only what changed.
//
// A row is believed when device, inode, size, mtime and ctime are all still the same: no write
// leaves the ctime alone. The digest is the caller's word, opaque here. Losing rows costs time,
// never truth: they are written with Durability::kRelaxed. All are forgotten when about a million
// have been put, so that contexts that are gone do not stay for ever.
#pragma once

#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct FileDigest {
  uint64_t device = 0, inode = 0, size = 0;
  int64_t mtime_ns = 0, ctime_ns = 0;
  std::string digest;
};

// Fills in `digest` of each file that is known; the others' stays empty. `files` must be sorted by
// device and inode: neighbours are read in one pass.
Result<void> find_file_digests(Database& database, std::span<FileDigest> files);
inline constexpr int64_t kMaxFileDigests = 1'000'000;
// Remembers (replaces) all of them in one transaction. When `limit` have been put since the table
// was empty, the others are forgotten first.
Result<void> put_file_digests(Database& database, std::span<const FileDigest> files,
                              int64_t limit = kMaxFileDigests);
// Forgets everything; the number of rows that were there.
Result<int64_t> clear_file_digests(Database& database);

}  // namespace wherry::state
