// The local engine: opens the state under a root and does the work in this process.
#pragma once

#include <memory>
#include <optional>
#include <string>

#include "engine/engine.h"
#include "store/ladder.h"
#include "store/limits.h"
#include "transfer/endpoints.h"

namespace wherry::engine {

// A container is run next: what it needs anyway is made at once.
struct NextRun {
  bool own_network = false;  // it has a network namespace of its own
};

struct LocalOptions {
  std::string root = "/var/lib/wherry";
  std::string run_root = "/run/wherry";
  LogConfig log{"json-file", {}};  // from the configuration's log-driver and log-opts
  std::string default_publish_address = "0.0.0.0";
  transfer::RegistrySettings registries;
  int max_downloads = 3;
  int max_uploads = 5;
  std::optional<store::Rung> storage_driver;  // empty: the best that works
  uint64_t max_layer_entries = store::kDefaultLayerEntries;
  std::string docker_config;  // the user's config.json with credentials; empty: there is none
  std::string search_path;    // where docker-credential-* are looked for
  std::optional<NextRun> runs_next;
};

// Makes both roots (0700) when missing. Not being root is kPermissionDenied with a hint.
Result<std::unique_ptr<Engine>> open_local(const LocalOptions& options);

}  // namespace wherry::engine
