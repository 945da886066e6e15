#include "state/facts.h"

namespace wherry::state {

Result<void> put_fact(Database& database, std::string_view kind, const Fact& fact) {
  TRY(Statement statement,
      database.prepare("INSERT INTO facts(kind,name,document) VALUES(?1,?2,?3) "
                       "ON CONFLICT(kind,name) DO UPDATE SET document=excluded.document"));
  return statement.bind(1, kind).bind(2, fact.name).bind(3, fact.document).run();
}

Result<std::optional<std::string>> get_fact(Database& database, std::string_view kind,
                                            std::string_view name) {
  TRY(Statement statement,
      database.prepare("SELECT document FROM facts WHERE kind=?1 AND name=?2"));
  TRY(bool found, statement.bind(1, kind).bind(2, name).step());
  if (!found) return std::optional<std::string>();
  return std::optional<std::string>(statement.text(0));
}

Result<void> delete_fact(Database& database, std::string_view kind, std::string_view name) {
  TRY(Statement statement, database.prepare("DELETE FROM facts WHERE kind=?1 AND name=?2"));
  return statement.bind(1, kind).bind(2, name).run();
}

Result<std::vector<Fact>> list_facts(Database& database, std::string_view kind) {
  TRY(Statement statement,
      database.prepare("SELECT name,document FROM facts WHERE kind=?1 ORDER BY name"));
  statement.bind(1, kind);
  std::vector<Fact> facts;
  for (;;) {
    TRY(bool more, statement.step());
    if (!more) return facts;
    facts.push_back({statement.text(0), statement.text(1)});
  }
}

}  // namespace wherry::state
