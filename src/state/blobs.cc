#include "state/blobs.h"

#include "state/rows.h"

namespace wherry::state {
namespace {

constexpr const char* kColumns = "SELECT digest,diff_id,size,media_type,created_ns FROM blobs ";

BlobRow blob_of(const Statement& statement) {
  return {statement.text(0), statement.text(1), statement.integer(2), statement.text(3),
          statement.integer(4)};
}

}  // namespace

Result<void> insert_blob(Database& database, const BlobRow& row) {
  TRY(Statement statement,
      database.prepare("INSERT OR IGNORE INTO blobs(digest,diff_id,size,media_type,created_ns) "
                       "VALUES(?1,?2,?3,?4,?5)"));
  statement.bind(1, row.digest).bind(2, row.diff_id).bind(3, row.size).bind(4, row.media_type);
  return statement.bind(5, row.created_ns).run();
}

Result<void> delete_blob(Database& database, const std::string& digest) {
  return run_with_id(database, "DELETE FROM blobs WHERE digest=?1", digest);
}

Result<std::optional<BlobRow>> get_blob(Database& database, std::string_view digest) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "WHERE digest=?1"));
  TRY(bool found, statement.bind(1, digest).step());
  if (!found) return std::optional<BlobRow>();
  return std::optional<BlobRow>(blob_of(statement));
}

Result<std::vector<BlobRow>> list_blobs(Database& database) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "ORDER BY digest"));
  return collect(statement, blob_of);
}

Result<std::vector<BlobRow>> blobs_of(Database& database, std::string_view diff_id) {
  TRY(Statement statement, database.prepare(std::string(kColumns) +
                                            "WHERE diff_id=?1 ORDER BY created_ns DESC, digest"));
  statement.bind(1, diff_id);
  return collect(statement, blob_of);
}

Result<void> put_blob_source(Database& database, std::string_view digest,
                             std::string_view repository) {
  TRY(Statement statement, database.prepare("INSERT OR IGNORE INTO blob_sources(digest,repository) "
                                            "SELECT digest,?2 FROM blobs WHERE digest=?1"));
  return statement.bind(1, digest).bind(2, repository).run();
}

Result<std::vector<std::string>> blob_sources(Database& database, std::string_view digest) {
  TRY(Statement statement,
      database.prepare("SELECT repository FROM blob_sources WHERE digest=?1 ORDER BY repository"));
  statement.bind(1, digest);
  return collect(statement, [](const Statement& row) { return row.text(0); });
}

}  // namespace wherry::state
