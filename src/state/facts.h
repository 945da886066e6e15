// Small named JSON documents by kind ("network", "volume", "setting"): for objects too few for a
// table.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct Fact {
  std::string name;
  std::string document;  // JSON
};
Result<void> put_fact(Database& database, std::string_view kind, const Fact& fact);
Result<std::optional<std::string>> get_fact(Database& database, std::string_view kind,
                                            std::string_view name);
Result<void> delete_fact(Database& database, std::string_view kind, std::string_view name);
Result<std::vector<Fact>> list_facts(Database& database, std::string_view kind);

}  // namespace wherry::state
