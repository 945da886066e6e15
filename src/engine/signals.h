// Signal names and numbers as users write them: "TERM", "SIGTERM", "term", "15", "RTMIN+3".
#pragma once

#include <string>
#include <string_view>

#include "base/result.h"

namespace wherry::engine {

// kInvalidArgument "invalid signal: x" for anything the kernel does not know.
Result<int> parse_signal(std::string_view text);
// "SIGTERM"; real-time signals as "SIGRTMIN+n"; "" for a number that is none.
std::string signal_name(int number);

}  // namespace wherry::engine
