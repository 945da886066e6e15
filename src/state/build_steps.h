// Rows of the build cache: what a step's key led to. Plain reads and writes; what a key covers and
// when a record may be believed belongs to build/.
#pragma once

#include <optional>
#include <string>
#include <vector>

#include "state/database.h"

namespace wherry::state {

struct BuildStepRow {
  std::string key;    // "sha256:..."
  std::string layer;  // diff id of what the step changed; empty: it changed nothing
  std::string parts;  // the key's parts as one JSON document (docs/formats/build-cache.md)
  int64_t cost_ms = 0;
  int64_t created_ns = 0;
  int64_t used_ns = 0;
};

Result<std::optional<BuildStepRow>> find_build_step(Database& database, std::string_view key);
// A record of the same key is replaced.
Result<void> put_build_step(Database& database, const BuildStepRow& row);
Result<void> touch_build_step(Database& database, std::string_view key, int64_t used_ns);
Result<void> delete_build_step(Database& database, std::string_view key);
// Least recently used first.
Result<std::vector<BuildStepRow>> list_build_steps(Database& database);

}  // namespace wherry::state
