#include "state/trees.h"

#include "base/text.h"
#include "state/rows.h"

namespace wherry::state {
namespace {

constexpr const char* kColumns = "SELECT chain,tree,layers,entries,size,image FROM trees ";

TreeRow tree_of(const Statement& row) {
  TreeRow tree{row.text(0),    row.text(1),    {},
               row.integer(3), row.integer(4), std::string(row.text(5))};
  const std::string layers = row.text(2);
  for (std::string_view layer : split(layers, ' ')) tree.layers.emplace_back(layer);
  return tree;
}

}  // namespace

Result<void> insert_tree(Database& database, const TreeRow& row) {
  std::string layers;
  for (const std::string& layer : row.layers) layers += (layers.empty() ? "" : " ") + layer;
  TRY(Statement statement,
      database.prepare("INSERT INTO trees(chain,tree,layers,entries,size,image) "
                       "VALUES(?1,?2,?3,?4,?5,?6) ON CONFLICT(chain) DO UPDATE "
                       "SET image=excluded.image WHERE excluded.image<>''"));
  statement.bind(1, row.chain).bind(2, row.tree).bind(3, layers).bind(4, row.entries);
  return statement.bind(5, row.size).bind(6, row.image).run();
}

Result<void> delete_tree(Database& database, std::string_view chain) {
  return run_with_id(database, "DELETE FROM trees WHERE chain=?1", chain);
}

Result<std::optional<TreeRow>> get_tree(Database& database, std::string_view chain) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "WHERE chain=?1"));
  TRY(bool found, statement.bind(1, chain).step());
  if (!found) return std::optional<TreeRow>();
  return std::optional<TreeRow>(tree_of(statement));
}

Result<bool> has_tree(Database& database, std::string_view tree) {
  TRY(Statement statement, database.prepare("SELECT 1 FROM trees WHERE tree=?1 LIMIT 1"));
  return statement.bind(1, tree).step();
}

Result<std::string> image_of_tree(Database& database, std::string_view tree) {
  TRY(Statement statement,
      database.prepare("SELECT image FROM trees WHERE tree=?1 AND image<>'' LIMIT 1"));
  TRY(bool found, statement.bind(1, tree).step());
  return found ? std::string(statement.text(0)) : std::string();
}

Result<std::vector<TreeRow>> list_trees(Database& database) {
  TRY(Statement statement, database.prepare(std::string(kColumns) + "ORDER BY chain"));
  return collect(statement, tree_of);
}

}  // namespace wherry::state
