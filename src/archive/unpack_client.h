// Starting wherry-unpack and believing only what can be checked: the store's side.
//
// Several may run at once (the layers of a pull); each object belongs to one thread. Dropping one
// that has not finished kills the helper and reaps it.
#pragma once

#include "archive/helper_process.h"
#include "archive/outline.h"
#include "archive/unpack.h"

namespace wherry::archive {

struct UnpackJob {
  int tar = -1;        // what the helper reads: a file or a pipe, plain or compressed
  int directory = -1;  // the tree is made in it; empty for a layer
  int lock = -1;       // kept open by the helper as long as it lives
  UnpackRules rules = {};
};

class Unpacking {
 public:
  // Keeps duplicates of what it needs: all descriptors stay the caller's and may be closed.
  static Result<Unpacking> start(const UnpackJob& job);
  // Readable when finish() will not block for long.
  int fd() const { return helper_.report_fd(); }
  // Waits for the end and marks the opaque directories. On an error the directory holds whatever
  // was made: the caller removes it. Errors of the archive name the entry; a helper that died is
  // kInternal and says how. Call once.
  Result<Unpacked> finish();

 private:
  Unpacking(HelperProcess helper, sys::Fd directory)
      : helper_(std::move(helper)), directory_(std::move(directory)) {}

  HelperProcess helper_;
  sys::Fd directory_;
};

// start() and finish() in one.
Result<Unpacked> run_unpack(const UnpackJob& job);
// The tree without the large files of a plain tar. Of the rules only `max_entries` counts. The
// parts that the helper tells are within what a file can have; whether the archive has them shows
// who reads them.
Result<Outline> run_outline(const UnpackJob& job);

}  // namespace wherry::archive
