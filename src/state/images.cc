#include "state/images.h"

namespace wherry::state {
namespace {

constexpr const char* kImageColumns =
    "SELECT id,manifest_digest,config,manifest,created_ns FROM images ";

ImageRow image_of(const Statement& statement) {
  return {statement.text(0), statement.text(1), statement.text(2), statement.text(3),
          statement.integer(4)};
}

LayerRow layer_of(const Statement& statement) {
  return {statement.text(0), statement.integer(1), statement.integer(2), statement.integer(3)};
}

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

Result<void> run_with_id(Database& database, const char* sql, std::string_view id) {
  TRY(Statement statement, database.prepare(sql));
  return statement.bind(1, id).run();
}

std::string first_text(const Statement& statement) {
  return statement.text(0);
}

}  // namespace

Result<void> insert_image(Database& database, const ImageRow& row,
                          const std::vector<std::string>& diff_ids) {
  TRY(Statement image,
      database.prepare(
          "INSERT OR IGNORE INTO images(id,manifest_digest,config,manifest,created_ns) "
          "VALUES(?1,?2,?3,?4,?5)"));
  image.bind(1, row.id).bind(2, row.manifest_digest).bind(3, row.config).bind(4, row.manifest);
  TRY_VOID(image.bind(5, row.created_ns).run());
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    TRY(Statement claim,
        database.prepare(
            "INSERT OR IGNORE INTO image_layers(image_id,position,diff_id) VALUES(?1,?2,?3)"));
    claim.bind(1, row.id).bind(2, static_cast<int64_t>(i));
    TRY_VOID(claim.bind(3, diff_ids[i]).run());
  }
  return {};
}

Result<void> insert_layer(Database& database, const LayerRow& row) {
  TRY(Statement statement,
      database.prepare("INSERT OR IGNORE INTO layers(diff_id,size,tar_size,created_ns) "
                       "VALUES(?1,?2,?3,?4)"));
  statement.bind(1, row.diff_id).bind(2, row.size).bind(3, row.tar_size);
  return statement.bind(4, row.created_ns).run();
}

Result<void> delete_image(Database& database, const std::string& id) {
  TRY_VOID(run_with_id(database, "DELETE FROM tags WHERE image_id=?1", id));
  TRY_VOID(run_with_id(database, "DELETE FROM image_layers WHERE image_id=?1", id));
  return run_with_id(database, "DELETE FROM images WHERE id=?1", id);
}

Result<void> delete_layer(Database& database, const std::string& diff_id) {
  return run_with_id(database, "DELETE FROM layers WHERE diff_id=?1", diff_id);
}

Result<std::optional<ImageRow>> get_image(Database& database, std::string_view id) {
  TRY(Statement statement, database.prepare(std::string(kImageColumns) + "WHERE id=?1"));
  TRY(bool found, statement.bind(1, id).step());
  if (!found) return std::optional<ImageRow>();
  return std::optional<ImageRow>(image_of(statement));
}

Result<std::vector<ImageRow>> images_by_prefix(Database& database, std::string_view prefix) {
  // Ids end in lower-case hex, so "g" is behind every continuation of the prefix.
  TRY(Statement statement,
      database.prepare(std::string(kImageColumns) + "WHERE id>=?1 AND id<?2 LIMIT 2"));
  statement.bind(1, prefix).bind(2, std::string(prefix) + "g");
  return collect(statement, image_of);
}

Result<std::vector<ImageRow>> list_images(Database& database) {
  TRY(Statement statement,
      database.prepare(std::string(kImageColumns) + "ORDER BY created_ns DESC, id"));
  return collect(statement, image_of);
}

Result<std::vector<LayerRow>> layers_of(Database& database, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("SELECT layers.diff_id,size,tar_size,created_ns FROM image_layers "
                       "JOIN layers ON layers.diff_id=image_layers.diff_id "
                       "WHERE image_id=?1 ORDER BY position"));
  statement.bind(1, image_id);
  return collect(statement, layer_of);
}

Result<std::optional<LayerRow>> get_layer(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT diff_id,size,tar_size,created_ns FROM layers WHERE diff_id=?1"));
  TRY(bool found, statement.bind(1, diff_id).step());
  if (!found) return std::optional<LayerRow>();
  return std::optional<LayerRow>(layer_of(statement));
}

Result<int64_t> layer_users(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT COUNT(DISTINCT image_id) FROM image_layers WHERE diff_id=?1"));
  TRY(bool found, statement.bind(1, diff_id).step());
  return found ? statement.integer(0) : 0;
}

Result<void> put_tag(Database& database, std::string_view reference, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("INSERT INTO tags(reference,image_id) VALUES(?1,?2) "
                       "ON CONFLICT(reference) DO UPDATE SET image_id=excluded.image_id"));
  return statement.bind(1, reference).bind(2, image_id).run();
}

Result<void> delete_tag(Database& database, std::string_view reference) {
  return run_with_id(database, "DELETE FROM tags WHERE reference=?1", reference);
}

Result<std::optional<std::string>> get_tag(Database& database, std::string_view reference) {
  TRY(Statement statement, database.prepare("SELECT image_id FROM tags WHERE reference=?1"));
  TRY(bool found, statement.bind(1, reference).step());
  if (!found) return std::optional<std::string>();
  return std::optional<std::string>(statement.text(0));
}

Result<std::vector<std::string>> tags_of(Database& database, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("SELECT reference FROM tags WHERE image_id=?1 ORDER BY reference"));
  statement.bind(1, image_id);
  return collect(statement, first_text);
}

}  // namespace wherry::state
