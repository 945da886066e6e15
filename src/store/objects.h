// Objects: contents of files by their SHA-256, each once for all images.
//
//   <root>/objects/ab/cdef...   a regular file, 0444, root's, no attributes, its time kObjectTime
//   <root>/objects.lock         shared by whoever brings or counts on objects; exclusive to remove
//
// The time is always the same, so whoever writes to an object by mistake leaves a trace: an object
// with another time, size, mode or owner is damaged, is not counted as there, and is replaced by
// the next that brings the same content. Functions of a store's Places; inside store/ only.
#pragma once

#include <sys/stat.h>

#include <cstdint>
#include <string>
#include <vector>

#include "base/result.h"
#include "store/incoming.h"
#include "store/object_index.h"
#include "store/tree_file.h"

namespace wherry::store {

using tree::kObjectMode;
using tree::kObjectTime;
inline constexpr const char* kObjectsLock = "objects.lock";
// In an entry of incoming/: what a helper has written, "new/<64 hex>".
inline constexpr const char* kNewObjects = "objects";

std::string object_hex(const tree::ObjectId& id);
// From 64 hex digits.
Result<tree::ObjectId> parse_object_hex(std::string_view hex);

// Hex SHA-256 of what can be read from here on.
Result<std::string> file_digest(int fd);

// The folders objects/00 to ff, and the lock.
Result<sys::Fd> open_objects(const std::string& root);

enum class ObjectState { kWhole, kMissing, kDamaged };
// By its metadata alone; `changed`: its time of change.
ObjectState look_at_object(int objects, const ObjectRef& ref, timespec* changed = nullptr);
// By its content.
Result<ObjectState> read_object(int objects, const ObjectRef& ref);

struct Admitted {
  uint64_t objects = 0;
  uint64_t bytes = 0;
};
// Moves what is in the entry's folder of new objects among the objects, after hashing each: the
// helper that wrote them is not believed. kCorrupt: one is not what its name says. The caller holds
// the lock shared. Synced by the caller. Failpoint: store.object.moved.
Result<Admitted> admit_objects(const Places& places, int entry);

// One file to its place, after its content was compared with the name; `file` is open at its
// beginning. False: the same was there already, and the file is gone.
Result<bool> admit_file(const Places& places, int folder, const std::string& name, int file,
                        const tree::ObjectId& id, std::string& buffer);

// Removes those of the objects that no layer names, and says how many bytes they had. The lock is
// taken exclusively; kUnavailable when somebody brings objects just now: try again later.
Result<uint64_t> release_objects(const Places& places, std::vector<ObjectRef> candidates);

// All that are there, sorted, with the sizes that they have now.
Result<std::vector<ObjectRef>> list_objects(const Places& places);
// The caller holds the lock exclusively.
Result<void> remove_objects(const Places& places, const std::vector<ObjectRef>& objects);

}  // namespace wherry::store
