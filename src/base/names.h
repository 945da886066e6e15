// Container names and ids: the rules every command shares. Pure text, no state.
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry {

// [a-zA-Z0-9][a-zA-Z0-9_.-]+ , at most 255 bytes; else kInvalidArgument saying which characters are
// allowed.
Result<void> check_container_name(std::string_view name);
// A random "adjective_surname"; `attempt` > 0 adds a digit, so that a busy machine still finds one.
std::string random_container_name(int attempt);
// 64 lower-case hex digits from the kernel's random source.
std::string random_id();

}  // namespace wherry
