// The root directory of an EROFS file, without mounting it: a mount costs half a millisecond, and
// closing it as much again. Linux: fs/erofs/erofs_fs.h.
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>

#include "base/result.h"

namespace wherry::sys {

// Owner, mode and modification time. nullopt: the directory has extended attributes, which only a
// mount shows. kCorrupt: not a file as we write them.
Result<std::optional<struct stat>> erofs_root(const std::string& file);

}  // namespace wherry::sys
