// An archive's tree without its large files, which stay where they are in the archive: what
// wherry-unpack's verb "outline" does.
//
// Descriptors as those of unpack.h. An image archive is little but layers, each of which is read
// once more by a helper of its own: from the archive itself (UnpackRules::part) rather than from a
// copy. In the tree such a file is a hole of its size. Only of a plain tar that is a file: of any
// other everything is unpacked.
#pragma once

#include <cstdint>
#include <string>
#include <vector>

#include "archive/unpack.h"

namespace wherry::archive {

// Files from this size on are left, so no document of an image (oci::kMaxJsonBytes).
inline constexpr uint64_t kMinLeft = 8u << 20;
// Further ones are copied.
inline constexpr size_t kMaxLeft = 4096;

struct LeftFile {
  uint64_t inode = 0;  // in the tree
  FilePart part;       // of the archive
};

struct Outline {
  uint64_t replaced = 0;  // see Unpacked
  std::vector<LeftFile> left;
};

// The process has given up its rights before.
Result<Outline> outline(int tar, int root, Worker worker);

std::string report_of(const Result<Outline>& result);
Result<Outline> parse_outline_report(const std::string& text);

}  // namespace wherry::archive
