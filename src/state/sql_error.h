// SQLite's result codes as our Error. Inside state/ only.
#pragma once

#include <string_view>

#include "base/error.h"

struct sqlite3;

namespace wherry::state {

// The last error of `connection` (its extended code decides the kind); `what` is the action.
Error sql_error(sqlite3* connection, std::string_view what);
// As above for a given result code, when the connection may be null or hold another one.
Error sql_error(int code, std::string_view text, std::string_view what);

}  // namespace wherry::state
