#include "state/build_steps.h"

namespace wherry::state {
namespace {

constexpr const char* kColumns =
    "SELECT key,coalesce(layer,''),parts,cost_ms,created_ns,used_ns FROM build_steps ";

BuildStepRow row_of(const Statement& statement) {
  return {statement.text(0),    statement.text(1),    statement.text(2),
          statement.integer(3), statement.integer(4), statement.integer(5)};
}

}  // namespace

Result<std::optional<BuildStepRow>> find_build_step(Database& database, std::string_view key) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "WHERE key=?1"));
  statement.bind(1, key);
  TRY(bool found, statement.step());
  if (!found) return std::optional<BuildStepRow>();
  return std::optional(row_of(statement));
}

Result<void> put_build_step(Database& database, const BuildStepRow& row) {
  TRY(Statement statement,
      database.prepare("INSERT OR REPLACE INTO "
                       "build_steps(key,layer,parts,cost_ms,created_ns,used_ns) "
                       "VALUES(?1,?2,?3,?4,?5,?6)"));
  statement.bind(1, row.key);
  if (row.layer.empty())
    statement.bind_null(2);
  else
    statement.bind(2, row.layer);
  statement.bind(3, row.parts).bind(4, row.cost_ms).bind(5, row.created_ns).bind(6, row.used_ns);
  return statement.run();
}

Result<void> touch_build_step(Database& database, std::string_view key, int64_t used_ns) {
  TRY(Statement statement,
      database.prepare("UPDATE build_steps SET used_ns=?2 WHERE key=?1 AND used_ns<?2"));
  return statement.bind(1, key).bind(2, used_ns).run();
}

Result<void> delete_build_step(Database& database, std::string_view key) {
  TRY(Statement statement, database.prepare("DELETE FROM build_steps WHERE key=?1"));
  return statement.bind(1, key).run();
}

Result<std::vector<BuildStepRow>> list_build_steps(Database& database) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "ORDER BY used_ns,key"));
  std::vector<BuildStepRow> rows;
  for (;;) {
    TRY(bool more, statement.step());
    if (!more) return rows;
    rows.push_back(row_of(statement));
  }
}

}  // namespace wherry::state
