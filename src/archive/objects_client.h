// Starting wherry-unpack for layers as objects, and the way back: the store's side.
//
// The helper is not believed: what it leaves in the directory (objects.h) is the caller's to hash
// and to check, its counts are hints. Several may run at once; each object belongs to one thread.
// Dropping one that has not finished kills the helper and reaps it.
#pragma once

#include "archive/helper_process.h"
#include "archive/objects.h"
#include "archive/rebuild.h"

namespace wherry::archive {

struct ObjectsJob {
  int tar = -1;        // what the helper reads: a file or a pipe, plain or compressed
  int directory = -1;  // empty, 0700, ours: gets objects/, tree and recipe
  int store = -1;      // the store's objects (xx/yyyy...); -1: every content is new
  int lock = -1;       // kept open by the helper as long as it lives
  int blob = -1;       // an empty file for a gzip or zstd archive as it is; others are not kept
  bool exact = false;  // the blob is kept byte for byte, whatever its compression
  uint64_t max_entries = kMaxEntries;
  std::optional<FilePart> part = {};  // of the file `tar`; else all that it still gives
};

class UnpackingObjects {
 public:
  // Keeps duplicates of what it needs: all descriptors stay the caller's and may be closed.
  static Result<UnpackingObjects> start(const ObjectsJob& job);
  // Readable when finish() will not block for long.
  int fd() const { return helper_.report_fd(); }
  // Waits for the end. On an error the directory holds whatever was made: the caller removes it.
  // Errors of the archive name the entry; a helper that died is kInternal and says how. Call once.
  Result<UnpackedObjects> finish();

 private:
  UnpackingObjects(HelperProcess helper, sys::Fd blob, const ObjectsJob& job)
      : helper_(std::move(helper)),
        blob_(std::move(blob)),
        exact_(job.exact),
        max_entries_(job.max_entries) {}

  HelperProcess helper_;
  sys::Fd blob_;
  bool exact_;
  uint64_t max_entries_;
};

// start() and finish() in one.
Result<UnpackedObjects> run_unpack_objects(const ObjectsJob& job);

struct RebuildJob {
  int recipe = -1;   // a file, read from where it stands
  int objects = -1;  // the store's
  int lock = -1;     // kept open by the helper as long as it lives
  int blob = -1;     // an empty file for the tar, compressed as asked; -1: only the digests
  Compression compression = Compression::kGzip;
};

class Rebuilding {
 public:
  static Result<Rebuilding> start(const RebuildJob& job);
  int fd() const { return helper_.report_fd(); }
  // The diff id is for the caller to compare with the layer's. Call once.
  Result<Rebuilt> finish();

 private:
  Rebuilding(HelperProcess helper, sys::Fd blob)
      : helper_(std::move(helper)), blob_(std::move(blob)) {}

  HelperProcess helper_;
  sys::Fd blob_;
};

Result<Rebuilt> run_rebuild(const RebuildJob& job);

}  // namespace wherry::archive
