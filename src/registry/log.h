// Lines for the operator on stderr: "<time> <level> <text>". The one floor above the libraries
// speaks; whole lines, safe from many threads.
#pragma once

#include <optional>
#include <string_view>

namespace wherry::registry {

enum class Level { kError, kWarning, kInfo, kDebug };

std::optional<Level> parse_level(std::string_view word);
void set_log_level(Level most);
bool log_enabled(Level level);
// Control and non-ASCII bytes of `text` are written as \xNN.
void log(Level level, std::string_view text);

}  // namespace wherry::registry
