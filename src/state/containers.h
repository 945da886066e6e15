// Container records: one row a container; the record itself is JSON whose meaning belongs to the
// engine (the Engine API's inspect model). Columns hold what is searched.
#pragma once

#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct ContainerRow {
  std::string id;        // 64 hex
  std::string name;      // without a slash, unique
  std::string image_id;  // config digest, "sha256:..."
  int64_t created_ns = 0;
  std::string record;  // JSON
};

// kConflict when the name is taken; the message is Docker's: Conflict. The container name "/x" is
// already in use by container "ID". You have to remove (or rename) that container to be able to
// reuse that name.
Result<void> insert_container(Database& database, const ContainerRow& row);
Result<void> update_container(Database& database, const ContainerRow& row);
Result<void> delete_container(Database& database, const std::string& id);
// By full id, name, or unique id prefix, in this order. kNotFound: "no such container: x". An
// ambiguous prefix is kInvalidArgument.
Result<ContainerRow> find_container(Database& database, std::string_view name_or_id);
// Newest first.
Result<std::vector<ContainerRow>> list_containers(Database& database);

}  // namespace wherry::state
