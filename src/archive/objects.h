// Unpacking a layer into objects: what wherry-unpack's verb "objects" does.
//
// docs/design/unpack.md, docs/formats/recipe.md. Descriptors as those of unpack.h, but 3 is an
// empty directory that gets
//   objects/<64 hex>  contents that the store has not
//   tree              the layer's record
//   recipe            how the exact tar is made again from the record's objects
// and 7 is the store's directory of objects (xx/yyyy...), in which it may look but not list.
#pragma once

#include "archive/unpack.h"

namespace wherry::archive {

inline constexpr int kUnpackStoreFd = 7;
inline constexpr const char* kRecordName = "tree";
inline constexpr const char* kRecipeName = "recipe";
inline constexpr const char* kObjectsName = "objects";

struct UnpackedObjects {
  Unpacked layer;  // files_size: of the record, each inode once; no opaque directories
  uint64_t new_objects = 0;
  uint64_t new_bytes = 0;
  Digest record;  // as RecordWriter says it
  uint64_t record_entries = 0;
};

// `store` -1: no object is known. The process has given up its rights before.
Result<UnpackedObjects> unpack_objects(int tar, int directory, int store, int blob, Worker worker,
                                       const UnpackRules& rules);

std::string report_of(const Result<UnpackedObjects>& result);
Result<UnpackedObjects> parse_objects_report(const std::string& text);

}  // namespace wherry::archive
