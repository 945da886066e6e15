// What the prune commands share: the question before and the sum behind.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::cli {

// Asks "WARNING! ... Are you sure" and reads one line from standard input. Anything but y or Y ends
// in an error "NAME has been cancelled".
Result<void> confirm_prune(std::string_view name, std::string_view warning);

// "Total reclaimed space: 1.2MB"
std::string reclaimed_line(uint64_t bytes);

}  // namespace wherry::cli
