// Differences of two trees: the names that one has and the other has not, and what is not the same
// of those that both have. From metadata alone: contents are compared by their objects.
#pragma once

#include <cstdint>
#include <functional>
#include <string_view>

#include "base/result.h"
#include "tree/source.h"

namespace wherry::tree {

// What is not the same, as bits.
enum What : uint16_t {
  kContent = 1,  // of files: the object or the size
  kMode = 2,
  kOwner = 4,  // uid or gid
  kTime = 8,
  kType = 16,
  kXattrs = 32,
  kTarget = 64,  // of symlinks
  kDevice = 128,
  kLinks = 256,  // with which other names it is one file
};

struct Difference {
  const Entry* before = nullptr;  // null: added
  const Entry* after = nullptr;   // null: removed
  uint16_t what = 0;              // of those in both; with kType only what all types have

  std::string_view path() const { return (before != nullptr ? before : after)->path; }
};

// Tells `sink` every difference, in the order of paths; its error ends it. What an added or removed
// directory contained is told name by name. Memory: a few bytes for each inode with several names.
Result<void> differences(const Entries& before, const Entries& after,
                         const std::function<Result<void>(const Difference&)>& sink);

}  // namespace wherry::tree
