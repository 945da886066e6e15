// Named failpoints: places where a test may kill this process or make a step fail.
//
// WHERRY_FAILPOINT=name:action[@N][,name:action...] arms them, in every build: tests hit the
// programs that users run. Actions: kill (SIGKILL to itself), enospc, eio, enomem, stop (SIGSTOP to
// itself).
// @N: only the N-th hit (from 1; default: each hit). A child program inherits the variable unless
// its environment is fixed by its parent, which then passes it on by name (see sys/process.h).
// WHERRY_FAILPOINT_LIST=FILE appends the name of each failpoint passed, so that a test can
// enumerate those of a command. WHERRY_FAILPOINT_PROGRAM=NAME: both hold for that program only.
// With neither variable set a hit costs one load.
#pragma once

#include "base/result.h"

namespace wherry {

namespace internal {
extern bool failpoints_armed;
Result<void> hit_failpoint(const char* name);
}  // namespace internal

// Reads the environment once. Call first in main; without the call no failpoint is armed.
void arm_failpoints();

// Ok, or the armed error. Name: "floor.step", e.g. "store.layer.renamed".
inline Result<void> failpoint(const char* name) {
  if (!internal::failpoints_armed) [[likely]]
    return {};
  return internal::hit_failpoint(name);
}

}  // namespace wherry
