// What `wherry-unpack rebuild none|gzip|zstd [keep]` does: the exact tar of a layer from its recipe
// and the store's objects.
//
// Descriptors as those of unpack.h, but 0 is the recipe and 3 the store's directory of objects
// (xx/yyyy...). Nothing is believed: whoever wants the tar compares the digest with the one he
// knows the layer by.
#pragma once

#include <cstdint>
#include <string>

#include "archive/compression.h"
#include "base/digest.h"

namespace wherry::archive {

struct Rebuilt {
  Digest diff_id;
  uint64_t tar_size = 0;
  Digest blob;  // of what was written to `blob`; that of the tar when there was none
  uint64_t blob_size = 0;
};

class Worker;
// `blob` -1: only the digests are wanted. kCorrupt: the recipe or an object is damaged, the tar is
// not the one that the recipe was made of; kNotFound: an object is missing.
Result<Rebuilt> rebuild(int recipe, int objects, Compression compression, int blob, Worker worker);

// The report as bytes for the pipe, and back.
std::string report_of(const Result<Rebuilt>& result);
Result<Rebuilt> parse_rebuild_report(const std::string& text);

}  // namespace wherry::archive
