// The options before the command.
#pragma once

#include "cli/flags.h"

namespace wherry::cli {

extern const FlagTable kGlobalFlags;

}  // namespace wherry::cli
