// The way back: a layer's tree becomes the exact tar of a layer, in a confined helper.
//
// The tar is a function of the tree alone (docs/formats/layer-tar.md): entries sorted, overlay's
// whiteouts as ".wh." files, opaque directories as ".wh..wh..opq", hard links within the tree kept,
// PAX records only where ustar has no room, times to the nanosecond. So a layer that was built here
// can be packed again at any time with the same diff id. The blob's digest may differ between
// kinds of processors. Source: image-spec 1.1, layer.md.
#pragma once

#include "archive/helper_process.h"
#include "archive/pack.h"

namespace wherry::archive {

struct PackJob {
  int directory = -1;  // the tree: an overlay's upper, or a layer's fs
  int lock = -1;       // kept open by the helper as long as it lives
  int blob = -1;       // gets the tar, compressed as asked; -1: only the digests are wanted
  Compression compression = Compression::kGzip;
  // Empty files for the layer's record and recipe, both or none. The files of the tree are then
  // where the record says, those with several names under the first: each has the content of the
  // object that the record names, or the helper lies.
  int record = -1;
  int recipe = -1;
  uint64_t max_entries = kMaxEntries;
};

// Several may run at once; each object belongs to one thread. Dropping one that has not finished
// kills the helper and reaps it.
class Packing {
 public:
  // Keeps duplicates of what it needs: all descriptors stay the caller's and may be closed.
  static Result<Packing> start(const PackJob& job);
  // Readable when finish() will not block for long.
  int fd() const { return helper_.report_fd(); }
  // Waits for the end. Call once. Errors name the file that could not be read.
  Result<Packed> finish();

 private:
  Packing(HelperProcess helper, sys::Fd blob, bool seals, uint64_t max_entries)
      : helper_(std::move(helper)),
        blob_(std::move(blob)),
        seals_(seals),
        max_entries_(max_entries) {}

  HelperProcess helper_;
  sys::Fd blob_;
  bool seals_;
  uint64_t max_entries_;
};

// start() and finish() in one.
Result<Packed> run_pack(const PackJob& job);

}  // namespace wherry::archive
