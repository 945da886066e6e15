// builder prune: forgetting cached steps, and the layers and cache mounts that only they needed.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

#include "engine/build_host.h"

namespace wherry::build {

struct PruneOptions {
  // Also steps whose layers images have, and the caches of RUN --mount=type=cache.
  bool all = false;
  std::optional<int64_t> unused_for_ns;  // only what was not used for so long
};

struct Pruned {
  std::vector<std::string> steps;  // keys
  uint64_t bytes = 0;
};

// Steps are forgotten in one transaction; what a running build uses stays. Failpoint: build.pruned.
Result<Pruned> prune(engine::BuildHost& host, const PruneOptions& options);

}  // namespace wherry::build
