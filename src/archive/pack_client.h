// The way back: a layer's tree becomes the exact tar of a layer, in a confined helper.
//
// The tar is a function of the tree alone: entries sorted by path, overlay's whiteouts as ".wh."
// files, opaque directories as ".wh..wh..opq", hard links within the tree kept, PAX records only
// where ustar has no room, times to the nanosecond. So a layer that was built here can be packed
// again at any time with the same diff id. Source: image-spec 1.1, layer.md.
#pragma once

#include <cstdint>
#include <string>

#include "base/digest.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace wherry::archive {

enum class Compression { kNone, kGzip, kZstd };

struct PackJob {
  int directory = -1;  // the tree: an overlay's upper, or a layer's fs
  int lock = -1;       // kept open by the helper as long as it lives
  int blob = -1;       // gets the tar, compressed as asked; -1: only the digests are wanted
  Compression compression = Compression::kGzip;
};

struct Packed {
  Digest diff_id;           // of the uncompressed tar
  uint64_t tar_size = 0;    // its bytes
  uint64_t files_size = 0;  // bytes of the files in the tree
  uint64_t entries = 0;     // 0: the tree changes nothing
  Digest blob;              // of what was written to `blob`; that of the tar when there was none
  uint64_t blob_size = 0;
};

class Packing {
 public:
  static Result<Packing> start(const PackJob& job);
  Packing(Packing&&) noexcept = default;
  Packing& operator=(Packing&&) noexcept = default;
  // Readable when finish() will not block for long.
  int fd() const { return report_.get(); }
  // Waits for the end. Call once. Errors name the file that could not be read.
  Result<Packed> finish();

 private:
  Packing(sys::Child child, sys::Fd report)
      : child_(std::move(child)), report_(std::move(report)) {}

  sys::Child child_;
  sys::Fd report_;
};

}  // namespace wherry::archive
