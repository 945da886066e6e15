// The tables of state.db and the way to them from every older version. Inside state/ only.
//
// Each migration is a script that lifts the schema by one version; a released one never changes.
// docs/formats/state.md describes the tables.
#pragma once

#include "base/result.h"

struct sqlite3;

namespace wherry::state {

// What this program writes; kept in SQLite's user_version.
int newest_schema();
// The version of an open database; 0: empty.
Result<int> schema_of(sqlite3* connection);
// Lifts the schema to the newest in one transaction. The caller holds the schema lock.
Result<void> migrate(sqlite3* connection);

}  // namespace wherry::state
