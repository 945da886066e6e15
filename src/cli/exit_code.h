// Exit codes that scripts rely on (reference: docker run's 125, 126, 127).
#pragma once

#include "base/error.h"

namespace wherry::cli {

inline constexpr int kUsageExit = 125;     // a bad flag, of any command
inline constexpr int kNotInvocable = 126;  // the program is there but cannot be run
inline constexpr int kNotFoundExit = 127;  // the program is not there

// For an error of run, start -a or exec: 126 or 127 when the program could not be executed (the
// runtime's words behind `exec: "..."` say which), else `otherwise`.
int start_failure_code(const Error& error, int otherwise);
// For exec: also 126 when the user or group is not in the container.
int exec_failure_code(const Error& error);

}  // namespace wherry::cli
