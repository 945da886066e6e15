#include "state/containers.h"

#include "base/text.h"

namespace wherry::state {
namespace {

constexpr const char* kColumns = "SELECT id,name,image_id,created_ns,record FROM containers ";

ContainerRow row_of(const Statement& statement) {
  return {statement.text(0), statement.text(1), statement.text(2), statement.integer(3),
          statement.text(4)};
}

Error no_such_container(std::string_view name) {
  return Error(ErrorKind::kNotFound, "no such container: " + std::string(name));
}

// The id of the container that has this name; empty when it is free.
Result<std::string> holder_of(Database& database, const std::string& name) {
  TRY(Statement statement, database.prepare("SELECT id FROM containers WHERE name=?1"));
  TRY(bool found, statement.bind(1, name).step());
  return found ? statement.text(0) : std::string();
}

Error name_in_use(const std::string& name, const std::string& holder) {
  return Error(
      ErrorKind::kConflict,
      "Conflict. The container name \"/" + name + "\" is already in use by container \"" + holder +
          "\". You have to remove (or rename) that container to be able to reuse that name.");
}

// Runs a write; a clash of names is told in Docker's words.
Result<void> write_row(Database& database, Statement& statement, const ContainerRow& row) {
  statement.bind(1, row.id).bind(2, row.name).bind(3, row.image_id).bind(4, row.created_ns);
  Result<void> done = statement.bind(5, row.record).run();
  if (done || done.error().kind() != ErrorKind::kConflict) return done;
  TRY(std::string holder, holder_of(database, row.name));
  if (holder.empty() || holder == row.id) return done;
  return name_in_use(row.name, holder);
}

Result<std::optional<ContainerRow>> find_exactly(Database& database, const char* condition,
                                                 std::string_view value) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + condition));
  TRY(bool found, statement.bind(1, value).step());
  if (!found) return std::optional<ContainerRow>();
  return std::optional<ContainerRow>(row_of(statement));
}

}  // namespace

Result<void> insert_container(Database& database, const ContainerRow& row) {
  TRY(Statement statement,
      database.prepare("INSERT INTO containers(id,name,image_id,created_ns,record) "
                       "VALUES(?1,?2,?3,?4,?5)"));
  return write_row(database, statement, row);
}

Result<void> update_container(Database& database, const ContainerRow& row) {
  TRY(Statement statement,
      database.prepare(
          "UPDATE containers SET name=?2,image_id=?3,created_ns=?4,record=?5 WHERE id=?1"));
  TRY_VOID(write_row(database, statement, row));
  if (database.changes() == 0) return no_such_container(row.id);
  return {};
}

Result<void> delete_container(Database& database, const std::string& id) {
  TRY(Statement statement, database.prepare("DELETE FROM containers WHERE id=?1"));
  return statement.bind(1, id).run();
}

Result<ContainerRow> find_container(Database& database, std::string_view name_or_id) {
  TRY(auto by_id, find_exactly(database, "WHERE id=?1", name_or_id));
  if (by_id) return std::move(*by_id);
  std::string_view name = name_or_id;
  if (name.starts_with('/')) name.remove_prefix(1);
  TRY(auto by_name, find_exactly(database, "WHERE name=?1", name));
  if (by_name) return std::move(*by_name);
  if (!is_hex(name_or_id) || name_or_id.size() > 64) return no_such_container(name_or_id);

  // Ids are lower-case hex, so "g" is behind every continuation of the prefix.
  TRY(Statement statement,
      database.prepare(std::string(kColumns) + "WHERE id>=?1 AND id<?2 LIMIT 2"));
  statement.bind(1, name_or_id).bind(2, std::string(name_or_id) + "g");
  TRY(bool found, statement.step());
  if (!found) return no_such_container(name_or_id);
  ContainerRow row = row_of(statement);
  TRY(bool another, statement.step());
  if (another)
    return Error(ErrorKind::kInvalidArgument,
                 "multiple IDs found with provided prefix: " + std::string(name_or_id));
  return row;
}

Result<std::vector<ContainerRow>> list_containers(Database& database) {
  TRY(Statement statement,
      database.prepare(std::string(kColumns) + "ORDER BY created_ns DESC, id"));
  std::vector<ContainerRow> rows;
  for (;;) {
    TRY(bool more, statement.step());
    if (!more) return rows;
    rows.push_back(row_of(statement));
  }
}

}  // namespace wherry::state
