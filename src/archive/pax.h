// PAX extended headers: records that say of the next entry what a tar header has no room for.
//
// Only what becomes part of a file system is kept; what no reader knows is passed over, as the
// standard says. Of global headers owners and times hold for what follows; one that would rename
// entries or change their data is refused, since other engines ignore it. Sources: POSIX.1-2017,
// pax, "pax Extended Header"; the GNU tar manual, "Storing Sparse Files"; libarchive's tar(5).
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "archive/sparse.h"
#include "base/result.h"

namespace wherry::archive {

// Of one header, or of one GNU name.
inline constexpr size_t kMaxExtension = 1u << 20;

struct PaxRecords {
  std::optional<std::string> path, link;
  std::optional<int64_t> size, uid, gid, mtime_s;
  uint32_t mtime_ns = 0;
  std::optional<int64_t> device_major, device_minor;
  std::vector<std::pair<std::string, std::string>> xattrs;  // each name once

  // GNU.sparse.*
  int sparse_major = -1, sparse_minor = -1;  // -1: not said
  std::optional<std::string> sparse_name;
  std::optional<uint64_t> sparse_size;
  std::vector<SparseRun> sparse_runs;     // of 0.0 and 0.1
  std::optional<uint64_t> sparse_offset;  // 0.0: one whose size is still to come
  bool is_sparse() const { return sparse_size.has_value(); }
};

// Adds the records of one header's data.
Result<void> parse_pax(std::string_view data, PaxRecords& records);
// As above, of a global one.
Result<void> parse_global_pax(std::string_view data, PaxRecords& records);

}  // namespace wherry::archive
