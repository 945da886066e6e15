// Signals by the names that users and engines write: "9", "KILL", "SIGKILL", "kill", "RTMIN+3".
#pragma once

#include <optional>
#include <string_view>

namespace wherry::ocicli {

// nullopt when there is no such signal. 0 only asks whether the process is there, as for kill(2).
std::optional<int> parse_signal(std::string_view word);

}  // namespace wherry::ocicli
