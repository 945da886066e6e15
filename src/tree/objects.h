// The objects that a record or a tree names.
#pragma once

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

// Each once, sorted. 40 bytes of memory for each file with content. kCorrupt: one object with two
// sizes.
Result<std::vector<Object>> objects_of(const Entries& entries);

}  // namespace wherry::tree
