#include "state/images.h"

#include <algorithm>

#include "state/rows.h"

namespace wherry::state {
namespace {

constexpr const char* kImageColumns =
    "SELECT id,manifest_digest,config,manifest,created_ns,made_here FROM images ";
// Of a layer whose diff id is layers.diff_id.
constexpr const char* kUnused =
    "NOT EXISTS(SELECT 1 FROM image_layers WHERE image_layers.diff_id=layers.diff_id) AND "
    "NOT EXISTS(SELECT 1 FROM build_steps WHERE build_steps.layer=layers.diff_id)";

ImageRow image_of(const Statement& statement) {
  return {statement.text(0), statement.text(1),    statement.text(2),
          statement.text(3), statement.integer(4), statement.integer(5) != 0};
}

LayerRow layer_of(const Statement& statement) {
  return {statement.text(0), statement.integer(1), statement.integer(2), statement.integer(3)};
}

std::string first_text(const Statement& statement) {
  return statement.text(0);
}

}  // namespace

Result<void> insert_image(Database& database, const ImageRow& row,
                          const std::vector<std::string>& diff_ids) {
  TRY(Statement image,
      database.prepare(
          "INSERT INTO images(id,manifest_digest,config,manifest,created_ns,made_here) "
          "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(id) DO UPDATE SET "
          "manifest_digest=excluded.manifest_digest,manifest=excluded.manifest,made_here=0 "
          "WHERE excluded.made_here=0"));
  image.bind(1, row.id).bind(2, row.manifest_digest).bind(3, row.config).bind(4, row.manifest);
  TRY_VOID(image.bind(5, row.created_ns).bind(6, int64_t{row.made_here}).run());
  for (size_t i = 0; i < diff_ids.size(); ++i) {
    TRY(Statement claim,
        database.prepare(
            "INSERT OR IGNORE INTO image_layers(image_id,position,diff_id) VALUES(?1,?2,?3)"));
    claim.bind(1, row.id).bind(2, static_cast<int64_t>(i));
    TRY_VOID(claim.bind(3, diff_ids[i]).run());
  }
  return {};
}

Result<void> update_manifest(Database& database, std::string_view id, std::string_view digest,
                             std::string_view manifest) {
  TRY(Statement statement,
      database.prepare("UPDATE images SET manifest_digest=?2,manifest=?3 WHERE id=?1"));
  return statement.bind(1, id).bind(2, digest).bind(3, manifest).run();
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

Result<std::vector<LayerRow>> list_layers(Database& database) {
  TRY(Statement statement,
      database.prepare("SELECT diff_id,size,tar_size,created_ns FROM layers ORDER BY diff_id"));
  return collect(statement, layer_of);
}

Result<std::optional<LayerRow>> get_layer(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT diff_id,size,tar_size,created_ns FROM layers WHERE diff_id=?1"));
  TRY(bool found, statement.bind(1, diff_id).step());
  if (!found) return std::optional<LayerRow>();
  return std::optional<LayerRow>(layer_of(statement));
}

Result<std::vector<std::string>> manifests_with(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT manifest FROM images WHERE id IN "
                       "(SELECT image_id FROM image_layers WHERE diff_id=?1)"));
  statement.bind(1, diff_id);
  return collect(statement, first_text);
}

Result<std::vector<std::string>> foreign_manifests_with(Database& database,
                                                        std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT manifest FROM images WHERE made_here=0 AND id IN "
                       "(SELECT image_id FROM image_layers WHERE diff_id=?1)"));
  statement.bind(1, diff_id);
  return collect(statement, first_text);
}

Result<bool> has_chain(Database& database, const std::vector<std::string>& diff_ids) {
  if (diff_ids.empty()) return false;
  TRY(Statement statement,
      database.prepare("SELECT image_id FROM image_layers WHERE diff_id=?1 AND position=?2"));
  statement.bind(1, diff_ids.back()).bind(2, static_cast<int64_t>(diff_ids.size()) - 1);
  TRY(std::vector<std::string> images,
      collect(statement, [](const Statement& row) { return row.text(0); }));
  for (const std::string& image : images) {
    TRY(std::vector<LayerRow> layers, layers_of(database, image));
    if (std::ranges::equal(layers, diff_ids, {}, &LayerRow::diff_id)) return true;
  }
  return false;
}

Result<int64_t> layer_users(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT COUNT(DISTINCT image_id) FROM image_layers WHERE diff_id=?1"));
  TRY(bool found, statement.bind(1, diff_id).step());
  return found ? statement.integer(0) : 0;
}

Result<bool> layer_in_use(Database& database, std::string_view diff_id) {
  TRY(Statement statement,
      database.prepare("SELECT EXISTS(SELECT 1 FROM image_layers WHERE diff_id=?1) OR "
                       "EXISTS(SELECT 1 FROM build_steps WHERE layer=?1)"));
  TRY(bool found, statement.bind(1, diff_id).step());
  return found && statement.integer(0) != 0;
}

Result<std::vector<LayerRow>> unused_layers(Database& database) {
  TRY(Statement statement,
      database.prepare(std::string("SELECT diff_id,size,tar_size,created_ns FROM layers WHERE ") +
                       kUnused + " ORDER BY diff_id"));
  return collect(statement, layer_of);
}

Result<void> put_tag(Database& database, std::string_view reference, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("INSERT OR IGNORE INTO tags(reference,image_id) VALUES(?1,?2)"));
  return statement.bind(1, reference).bind(2, image_id).run();
}

Result<void> delete_tag(Database& database, std::string_view reference, std::string_view image_id) {
  TRY(Statement statement, database.prepare("DELETE FROM tags WHERE reference=?1 AND image_id=?2"));
  return statement.bind(1, reference).bind(2, image_id).run();
}

Result<std::vector<ImageRow>> tagged_images(Database& database, std::string_view reference) {
  TRY(Statement statement,
      database.prepare(std::string(kImageColumns) +
                       "WHERE id IN (SELECT image_id FROM tags WHERE reference=?1) ORDER BY id"));
  statement.bind(1, reference);
  return collect(statement, image_of);
}

Result<std::vector<std::string>> tags_of(Database& database, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("SELECT reference FROM tags WHERE image_id=?1 ORDER BY reference"));
  statement.bind(1, image_id);
  return collect(statement, first_text);
}

Result<void> put_image_source(Database& database, std::string_view image_id,
                              const ImageSourceRow& source) {
  TRY(Statement statement,
      database.prepare("INSERT INTO image_sources(image_id,repository,digest) VALUES(?1,?2,?3) "
                       "ON CONFLICT(image_id,repository) DO UPDATE SET digest=excluded.digest"));
  return statement.bind(1, image_id).bind(2, source.repository).bind(3, source.digest).run();
}

Result<std::vector<ImageSourceRow>> image_sources(Database& database, std::string_view image_id) {
  TRY(Statement statement,
      database.prepare("SELECT repository,digest FROM image_sources WHERE image_id=?1 "
                       "ORDER BY repository"));
  statement.bind(1, image_id);
  return collect(statement,
                 [](const Statement& row) { return ImageSourceRow{row.text(0), row.text(1)}; });
}

Result<std::vector<ImageRow>> images_by_source(Database& database, const ImageSourceRow& source) {
  TRY(Statement statement,
      database.prepare(std::string(kImageColumns) +
                       "WHERE id IN (SELECT image_id FROM image_sources WHERE repository=?1 AND "
                       "digest=?2) ORDER BY created_ns DESC"));
  statement.bind(1, source.repository).bind(2, source.digest);
  return collect(statement, image_of);
}

}  // namespace wherry::state
