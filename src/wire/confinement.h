// What wherry-transfer gives up before it speaks to anyone: the root user, every capability, and
// the system calls that fetching does not need.
#pragma once

#include "base/result.h"

namespace wherry::wire {

Result<void> confine_transfer();

}  // namespace wherry::wire
