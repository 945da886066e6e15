// Overlays as detached mounts, and the image of metadata that one may stand on: an EROFS file whose
// files have their contents among the objects, a directory that serves as overlay's data-only
// layer.
//
// What the kernel would understand on this machine only is off: an upper afterwards holds whole
// files, no metadata-only copies and no redirects, so that it can become a layer. With an EROFS
// image that takes a kernel which follows data-only layers without metacopy=on (6.16); who wants to
// know asks by mounting (store/ladder.h). No path has to be short, and no mount table ever shows
// the image: overlay keeps its own private mount of it. Source:
// Documentation/filesystems/overlayfs.rst, "Data-only lower layers".
#pragma once

#include <string>
#include <utility>
#include <vector>

#include "sys/fd.h"

namespace wherry::sys {

inline constexpr std::pair<const char*, const char*> kPortableOverlay[] = {
    {"index", "off"}, {"metacopy", "off"}, {"redirect_dir", "off"}};

struct Overlay {
  std::vector<std::string> lower;  // directories, topmost first; may be empty with `metadata`
  std::string metadata;            // the EROFS file below them; empty: none
  std::string objects;             // with `metadata`: the directory that its files refer into
  std::string upper, work;         // both empty: read-only
  bool volatile_upper = false;
};

struct OverlayMount {
  Fd mount;
  // The image's own mount: of no use any more, but its last close waits for an RCU grace period
  // (0.3 ms in the mean), so the caller decides when (runtime::park_mount).
  Fd metadata;
};

// EINVAL: this kernel does not take it, either at all (before 6.5: one directory a parameter) or
// with `metadata`.
Result<OverlayMount> mount_overlay(const Overlay& overlay);

// A detached, read-only mount of an EROFS file.
Result<Fd> mount_erofs(const std::string& file);

// An upper shows its own root directory: gives it the owner, mode, user.* attributes and time of
// the root of the stack below. `upper`: its descriptor.
Result<void> inherit_lower_root(const std::vector<std::string>& lower, const std::string& metadata,
                                int upper);

}  // namespace wherry::sys
