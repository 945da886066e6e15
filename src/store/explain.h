// Explanation: of every object why a collection keeps it or lets it go, one reason each, told while
// it is found out.
//
// Memory is that of the lists it is given and a bit for each object: records are read entry by
// entry, layer by layer. Inside store/ only.
#pragma once

#include <span>
#include <string>

#include "store/fsck.h"
#include "store/object_index.h"
#include "store/store_state.h"

namespace wherry::store {

// Objects that stay and that go, sorted, and folders of layers/ that do.
struct Fates {
  std::span<const ObjectRef> kept, freed;
  std::span<const std::string> kept_layers, freed_layers;
};

// Not under a lock: who reads what is told may take his time. What was removed meanwhile only lacks
// its path.
Result<void> explain(Store::State& state, const Fates& fates, const ObjectSink& sink);

}  // namespace wherry::store
