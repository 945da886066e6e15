// Giving up rights for good, before a foreign byte is read: capabilities, limits, system calls.
//
// For helpers that only parse or transfer. Each call acts on the calling thread and those that it
// starts later, allow_only on all threads of the process, and cannot be undone. The order that
// works: namespaces first (they need rights), then drop_capabilities, then threads, then
// allow_only.
#pragma once

#include <cstdint>
#include <span>
#include <string_view>

#include "base/result.h"

namespace wherry::sys {

// Dies with its parent; no new privileges by exec; no core dumps; at most `address_space` bytes of
// memory (0: no bound) and `files` descriptors.
Result<void> limit_process(uint64_t address_space, uint64_t files);
// Keeps exactly `keep` (CAP_* numbers) in permitted, effective and bounding sets; none inheritable
// or ambient.
Result<void> drop_capabilities(std::span<const int> keep);
// seccomp: every system call whose name is not in `names` kills the process. Names that this
// architecture does not have are passed over. Sanitizer builds, whose runtimes need others, skip
// it. All threads must have limit_process's promise of no new privileges.
Result<void> allow_only(std::span<const std::string_view> names);

}  // namespace wherry::sys
