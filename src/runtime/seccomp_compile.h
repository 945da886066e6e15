// From the table of runtime/seccomp_profile.h to classic BPF, through libseccomp. Not linked into
// the monitor.
//
// The result is a short prefix of ours followed by libseccomp's program. The prefix answers what
// libseccomp cannot say: ENOSYS for calls newer than the profile, calls it has no name for, and
// socket families by the low half of the argument. The same input gives the same bytes.
#pragma once

#include <set>
#include <string>

#include "base/result.h"
#include "runtime/seccomp_profile.h"

namespace wherry::runtime {

// Bytes of an array of struct sock_filter. `capabilities`: the bounding set, "CAP_..." names.
Result<std::string> compile_profile(Machine machine,
                                    const std::set<std::string, std::less<>>& capabilities);

// The machine this program was compiled for.
constexpr Machine native_machine() {
#if defined(__aarch64__)
  return Machine::kArm;
#elif defined(__x86_64__)
  return Machine::kX86;
#else
#error "the seccomp profile knows x86_64 and arm64 only"
#endif
}

}  // namespace wherry::runtime
