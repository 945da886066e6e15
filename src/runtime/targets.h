// Places inside a container's root, found or made without ever leaving it: the image's symlinks are
// foreign, and a volume may be changed by another container at the same moment. Whatever is found
// is an O_PATH fd, and everything after acts on the fd.
#pragma once

#include <string>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::runtime {

enum class TargetKind { kDirectory, kFile };  // kFile: anything but a directory

struct TargetRules {
  bool follow = true;  // false: no symlink in any part (what /proc, /sys and /dev must be)
  bool make = true;    // make what is missing, directories and files 0755, one step at a time
};

// `path`: absolute and clean (runtime/mount_plan.h), resolved as if `root` were "/".
Result<sys::Fd> open_target(int root, const std::string& path, TargetKind kind, TargetRules rules);

// Whether an opened place is a directory.
Result<bool> is_directory(int fd);

// Splits a clean path: "/a/b/c" -> "/a/b" and "c"; "/a" -> "/" and "a".
std::pair<std::string, std::string> split_path(const std::string& path);

}  // namespace wherry::runtime
