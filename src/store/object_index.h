// ObjectIndex: which objects a layer names, sorted, as an array that is mapped: layers/<hex>/index.
//
// Made from the layer's record when it is committed and used wherever only the objects matter:
// collection, sizes, quick checks. 40 bytes an object, little endian: 32 of its SHA-256, 8 of its
// size. Each object once. Not believed when it comes from elsewhere: nobody else writes it.
//
// The file's time of modification is the latest time of change (ctime) that the layer's files and
// objects had when their contents were last proven. The kernel sets a time of change, and nobody
// else can: what has a later one was touched since and is read again before it is believed.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <span>
#include <vector>

#include "base/result.h"
#include "tree/objects.h"

namespace wherry::store {

using ObjectRef = tree::Object;
static_assert(sizeof(ObjectRef) == 40);

class ObjectIndex {
 public:
  // The file `index` in the layer's folder. kCorrupt: it is none.
  static Result<ObjectIndex> open(int layer);
  ObjectIndex(ObjectIndex&& other) noexcept;
  ObjectIndex& operator=(ObjectIndex&&) = delete;
  ~ObjectIndex();

  std::span<const ObjectRef> refs() const { return refs_; }
  // Until then whatever changed in the layer's files and objects was known to be right.
  timespec known_until() const { return known_until_; }

 private:
  ObjectIndex(std::span<const ObjectRef> refs, timespec known_until)
      : refs_(refs), known_until_(known_until) {}
  std::span<const ObjectRef> refs_;  // mapped
  timespec known_until_{};
};

// Sorted, each once. Synced by the caller.
Result<void> write_object_index(int layer, const std::vector<ObjectRef>& refs);

// The same in the place of one that is wrong, durable on return; it knows nothing of its objects.
Result<void> rewrite_object_index(int layer, const std::vector<ObjectRef>& refs);

// `from` without what is in `other`, whatever sizes they give; both sorted.
std::vector<ObjectRef> without(std::vector<ObjectRef> from, std::span<const ObjectRef> other);

}  // namespace wherry::store
