// A program that enters containers must not be reachable for writing from inside
// (CVE-2019-5736): it executes itself again from a read-only mount of its own, or where the mount
// API does not allow that, from a sealed copy in memory.
#pragma once

#include "base/result.h"

namespace wherry::ocicli {

// Returns when the running program is sealed; executes it again, with the same arguments and
// environment, when it is not. An error means it could not be sealed.
Result<void> ensure_sealed(char** argv);

}  // namespace wherry::ocicli
