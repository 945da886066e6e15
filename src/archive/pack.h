// What `wherry-unpack pack` does: one directory into the tar of a layer, and a report.
//
// docs/design/unpack.md says how it is confined, docs/formats/layer-tar.md what it writes.
// Descriptors as those of unpack.h, but for 0, which is unused, and 6, which gets the blob. With
// the argument "seal", 7 and 8 are empty files that get the layer's record (tree/record.h) and its
// recipe (docs/formats/recipe.md): then the tree's files can become objects, each under the digest
// that the record says, and the tar can be made again from them.
#pragma once

#include <cstdint>
#include <optional>
#include <set>
#include <string>

#include "archive/compression.h"
#include "archive/unpack.h"
#include "base/digest.h"

namespace wherry::archive {

inline constexpr int kPackRecordFd = 7;
inline constexpr int kPackRecipeFd = 8;

struct Packed {
  Digest diff_id;           // of the uncompressed tar
  uint64_t tar_size = 0;    // its bytes
  uint64_t files_size = 0;  // bytes of the files in the tree
  uint64_t entries = 0;     // 0: the tree changes nothing
  Digest blob;              // of what was written to `blob`; that of the tar when there was none
  uint64_t blob_size = 0;
  std::optional<Digest> record;  // of the record, where there is one
  uint64_t record_entries = 0;
};

// Paths below the root; "" is the root.
using OpaqueDirectories = std::set<std::string>;

// The directories below `root` that hide those of lower layers. Needs CAP_SYS_ADMIN, to which alone
// the kernel shows trusted.* attributes; no file is read. A tree that stands for another place or
// for files elsewhere (overlay's redirect_dir and metacopy) is kUnsupported.
Result<OpaqueDirectories> find_opaque(int root);

class Worker;
// `blob`, `record`, `recipe` -1: not wanted; the last two go together. The process has given up its
// rights before.
struct PackOutput {
  Compression compression = Compression::kNone;
  int blob = -1;
  int record = -1;
  int recipe = -1;
  uint64_t max_entries = kMaxEntries;  // of a tree with more nothing is made: kResourceExhausted
};
Result<Packed> pack(int root, const OpaqueDirectories& opaque, const PackOutput& output,
                    Worker worker);

// The report as bytes for the pipe, and back.
std::string report_of(const Result<Packed>& result);
Result<Packed> parse_pack_report(const std::string& text);

}  // namespace wherry::archive
