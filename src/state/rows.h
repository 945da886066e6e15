// Reading rows of a statement into plain data. Inside state/ only.
#pragma once

#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

// All rows of a statement through `make`.
template <typename Make>
auto collect(Statement& statement, Make make) -> Result<std::vector<decltype(make(statement))>> {
  std::vector<decltype(make(statement))> rows;
  for (;;) {
    TRY(bool more, statement.step());
    if (!more) return rows;
    rows.push_back(make(statement));
  }
}

// A statement whose only parameter is a key.
inline Result<void> run_with_id(Database& database, const char* sql, std::string_view id) {
  TRY(Statement statement, database.prepare(sql));
  return statement.bind(1, id).run();
}

}  // namespace wherry::state
