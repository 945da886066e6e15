// Where a container's output goes: drivers json-file (with max-size, max-file) and none. Pure.
#pragma once

#include <cstdint>

#include "engine/record.h"

namespace wherry::engine {

// An unknown driver or option is refused by name. An empty driver (the default one's) is fine.
Result<void> check_log_config(const LogConfig& log);

// The defaults hold where nothing else is asked for; their options only for their own driver.
LogConfig effective_log_config(const LogConfig& wanted, const LogConfig& defaults);

uint64_t log_max_size(const LogConfig& log);  // bytes, 0: unlimited
int log_max_files(const LogConfig& log);

}  // namespace wherry::engine
