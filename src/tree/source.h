// Entries: a stream of the entries of a tree in order, whoever has it: a record's reader, a merger.
#pragma once

#include <functional>

#include "base/result.h"
#include "tree/entry.h"

namespace wherry::tree {

// The next entry, valid until the next call; null at the end.
using Entries = std::function<Result<const Entry*>()>;

// The entries of a reader or a merger that outlives what is returned.
template <typename Source>
Entries entries_of(Source& source) {
  return [&source] { return source.next(); };
}

}  // namespace wherry::tree
