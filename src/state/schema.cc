#include "state/schema.h"

#include <sqlite3.h>

#include <iterator>
#include <string>

#include "state/sql_error.h"

namespace wherry::state {
namespace {

constexpr const char* kMigrations[] = {
    // 1
    R"sql(
CREATE TABLE containers(
  id TEXT PRIMARY KEY NOT NULL,
  name TEXT NOT NULL UNIQUE,
  image_id TEXT NOT NULL,
  created_ns INTEGER NOT NULL,
  record TEXT NOT NULL);
CREATE TABLE images(
  id TEXT PRIMARY KEY NOT NULL,
  manifest_digest TEXT NOT NULL,
  config BLOB NOT NULL,
  manifest BLOB NOT NULL,
  created_ns INTEGER NOT NULL);
CREATE TABLE tags(
  reference TEXT PRIMARY KEY NOT NULL,
  image_id TEXT NOT NULL REFERENCES images(id));
CREATE INDEX tags_by_image ON tags(image_id);
CREATE TABLE layers(
  diff_id TEXT PRIMARY KEY NOT NULL,
  size INTEGER NOT NULL,
  tar_size INTEGER NOT NULL,
  created_ns INTEGER NOT NULL);
CREATE TABLE image_layers(
  image_id TEXT NOT NULL REFERENCES images(id),
  position INTEGER NOT NULL,
  diff_id TEXT NOT NULL REFERENCES layers(diff_id),
  PRIMARY KEY(image_id, position)) WITHOUT ROWID;
CREATE INDEX image_layers_by_layer ON image_layers(diff_id);
CREATE TABLE facts(
  kind TEXT NOT NULL,
  name TEXT NOT NULL,
  document TEXT NOT NULL,
  PRIMARY KEY(kind, name)) WITHOUT ROWID;
)sql",
    // 2
    R"sql(
ALTER TABLE images ADD COLUMN made_here INTEGER NOT NULL DEFAULT 1;
CREATE TABLE blobs(
  digest TEXT PRIMARY KEY NOT NULL,
  diff_id TEXT NOT NULL REFERENCES layers(diff_id) ON DELETE CASCADE,
  size INTEGER NOT NULL,
  media_type TEXT NOT NULL,
  created_ns INTEGER NOT NULL);
CREATE INDEX blobs_by_layer ON blobs(diff_id);
CREATE TABLE blob_sources(
  digest TEXT NOT NULL REFERENCES blobs(digest) ON DELETE CASCADE,
  repository TEXT NOT NULL,
  PRIMARY KEY(digest, repository)) WITHOUT ROWID;
CREATE TABLE image_sources(
  image_id TEXT NOT NULL REFERENCES images(id) ON DELETE CASCADE,
  repository TEXT NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY(image_id, repository)) WITHOUT ROWID;
CREATE TABLE build_steps(
  key TEXT PRIMARY KEY NOT NULL,
  layer TEXT REFERENCES layers(diff_id),
  parts TEXT NOT NULL,
  cost_ms INTEGER NOT NULL,
  created_ns INTEGER NOT NULL,
  used_ns INTEGER NOT NULL);
CREATE INDEX build_steps_by_layer ON build_steps(layer);
CREATE TABLE file_digests(
  device INTEGER NOT NULL,
  inode INTEGER NOT NULL,
  size INTEGER NOT NULL,
  mtime_ns INTEGER NOT NULL,
  ctime_ns INTEGER NOT NULL,
  digest TEXT NOT NULL,
  PRIMARY KEY(device, inode)) WITHOUT ROWID;
)sql",
    // 3
    R"sql(
CREATE TABLE trees(
  chain TEXT PRIMARY KEY NOT NULL,
  tree TEXT NOT NULL,
  layers TEXT NOT NULL,
  entries INTEGER NOT NULL,
  size INTEGER NOT NULL,
  image TEXT NOT NULL) WITHOUT ROWID;
CREATE INDEX trees_by_tree ON trees(tree);
ALTER TABLE tags RENAME TO old_tags;
CREATE TABLE tags(
  reference TEXT NOT NULL,
  image_id TEXT NOT NULL REFERENCES images(id),
  PRIMARY KEY(reference, image_id)) WITHOUT ROWID;
INSERT INTO tags SELECT reference, image_id FROM old_tags;
DROP TABLE old_tags;
CREATE INDEX tags_by_image ON tags(image_id);
)sql",
};

Result<void> execute(sqlite3* connection, const std::string& sql) {
  if (sqlite3_exec(connection, sql.c_str(), nullptr, nullptr, nullptr) != SQLITE_OK)
    return sql_error(connection, "cannot bring the state's schema up to date");
  return {};
}

}  // namespace

int newest_schema() {
  return static_cast<int>(std::size(kMigrations));
}

Result<int> schema_of(sqlite3* connection) {
  sqlite3_stmt* statement = nullptr;
  if (sqlite3_prepare_v2(connection, "PRAGMA user_version", -1, &statement, nullptr) != SQLITE_OK)
    return sql_error(connection, "cannot read the state's schema");
  int code = sqlite3_step(statement);
  int version = code == SQLITE_ROW ? sqlite3_column_int(statement, 0) : 0;
  sqlite3_finalize(statement);
  if (code != SQLITE_ROW) return sql_error(connection, "cannot read the state's schema");
  return version;
}

Result<void> migrate(sqlite3* connection) {
  TRY(int version, schema_of(connection));
  if (version >= newest_schema()) return {};
  if (version == 0) TRY_VOID(execute(connection, "PRAGMA journal_mode=WAL"));
  std::string script = "BEGIN IMMEDIATE;";
  for (; version < newest_schema(); ++version) script += kMigrations[version];
  script += "PRAGMA user_version=" + std::to_string(version) + ";COMMIT;";
  Result<void> done = execute(connection, script);
  if (!done) sqlite3_exec(connection, "ROLLBACK", nullptr, nullptr, nullptr);
  return done;
}

}  // namespace wherry::state
