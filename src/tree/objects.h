// The objects that a record or a tree names.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <vector>

#include "base/result.h"
#include "tree/source.h"

namespace wherry::tree {

struct Object {
  ObjectId id{};
  uint64_t size = 0;
  auto operator<=>(const Object&) const = default;
};

// How the store leaves a file that is an object.
inline constexpr time_t kObjectTime = 1;
inline constexpr mode_t kObjectMode = 0444;

// The owner is whoever the store belongs to.
inline bool is_sealed_object(const struct stat& info, uid_t uid = 0, gid_t gid = 0) {
  return S_ISREG(info.st_mode) && (info.st_mode & 07777) == kObjectMode && info.st_uid == uid &&
         info.st_gid == gid && info.st_mtim.tv_sec == kObjectTime && info.st_mtim.tv_nsec == 0;
}

// Each once, sorted. 40 bytes of memory for each file with content. kCorrupt: one object with two
// sizes.
Result<std::vector<Object>> objects_of(const Entries& entries);

}  // namespace wherry::tree
