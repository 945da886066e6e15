// Rows of blobs: the compressed forms in which layers travel, and where each is known to be. The
// bytes and the rules belong to store/. Digests are texts, "sha256:...".
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct BlobRow {
  std::string digest;
  std::string diff_id;  // of the layer that it holds
  int64_t size = 0;
  std::string media_type;
  int64_t created_ns = 0;
};

// One that is there already is left alone.
Result<void> insert_blob(Database& database, const BlobRow& row);
// With what is known of its places. Deleting a layer deletes its blobs' rows as well.
Result<void> delete_blob(Database& database, const std::string& digest);
Result<std::optional<BlobRow>> get_blob(Database& database, std::string_view digest);
Result<std::vector<BlobRow>> list_blobs(Database& database);
// Newest first.
Result<std::vector<BlobRow>> blobs_of(Database& database, std::string_view diff_id);

// Nothing is noted of a blob that has no row.
Result<void> put_blob_source(Database& database, std::string_view digest,
                             std::string_view repository);
// Sorted.
Result<std::vector<std::string>> blob_sources(Database& database, std::string_view digest);

}  // namespace wherry::state
