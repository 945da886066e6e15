// Where wherry-unpack stands before it reads its first byte: see docs/design/unpack.md.
#pragma once

#include "base/result.h"

namespace wherry::archive {

// Makes the directory `root` this process's "/" in namespaces of its own, drops every capability
// that making files does not need, and allows only the system calls of unpacking.
Result<void> confine_unpacker(int root);

}  // namespace wherry::archive
