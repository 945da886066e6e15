// Finds the program to execute as the shell would, inside the container and as its user, in runc's
// words (engines map them to exit codes; see runtime/container.h).
#pragma once

#include <string>
#include <vector>

#include "base/result.h"

namespace wherry::runtime {

// `name` with a slash is taken as it is; otherwise the absolute directories of PATH in
// `environment`
// ("NAME=value") are tried in order. Uses the caller's effective ids and its root and working
// directory.
Result<std::string> find_program(const std::string& name,
                                 const std::vector<std::string>& environment);

// The error for an execve that failed with `errnum`.
Error exec_error(const std::string& program, int errnum);

}  // namespace wherry::runtime
