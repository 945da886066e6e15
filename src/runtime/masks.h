// What a container must not see or change in /proc and /sys: masked paths are covered by clones of
// one empty read-only file system (directories) and of a null device of our own making (files);
// read-only paths by read-only clones of themselves. A path that is not there needs no cover.
#pragma once

#include <string>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

// Paths are absolute and clean, `root` is the container's root, attached in the calling namespace;
// before the pivot.
// `host_null`: a mount of the host's null device, for where nodes may not be made; else empty.
// `label`: the SELinux context of the covers; empty: what the policy says.
Result<void> mask_paths(int root, const std::vector<std::string>& paths, sys::Fd host_null,
                        const std::string& label);
Result<void> make_read_only(int root, const std::vector<std::string>& paths);

}  // namespace wherry::runtime
