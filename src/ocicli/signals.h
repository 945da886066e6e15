// Signals by the names that users and engines write: "9", "KILL", "SIGKILL", "kill", "RTMIN+3".
#pragma once

#include <optional>
#include <string_view>

namespace wherry::ocicli {

// nullopt when there is no such signal; 0 is none.
std::optional<int> parse_signal(std::string_view word);

}  // namespace wherry::ocicli
