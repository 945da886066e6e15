// The configuration file: /etc/wherry/config.json, then the user's ($XDG_CONFIG_HOME or ~/.config)
// /wherry/config.json over it; --config replaces both.
//
// Keys are those of Docker's daemon.json where we have them. A key that we do not have is refused
// by name, with the nearest right one; a wrong type is refused with its key: nothing is ever
// ignored. Manual: docs/manual/configuration.md, wherry-config(5).
#pragma once

#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "store/ladder.h"
#include "store/limits.h"
#include "transfer/endpoints.h"

namespace wherry::cli {

enum class LogLevel { kDebug, kInfo, kWarn, kError };

struct Config {
  std::string data_root = "/var/lib/wherry";
  std::string run_root = "/run/wherry";
  LogLevel log_level = LogLevel::kInfo;
  std::string log_driver = "json-file";  // or none
  std::string log_max_size;              // "10m"; empty: unlimited
  int log_max_files = 1;
  std::string publish_address = "0.0.0.0";
  transfer::RegistrySettings registries;
  int max_downloads = 3;                      // layers of one pull at a time
  int max_uploads = 5;                        // and of one push
  std::optional<store::Rung> storage_driver;  // empty: the best that works
  uint64_t storage_budget = 0;                // bytes that `gc` leaves; 0: as many as there are
  uint64_t max_layer_entries = store::kDefaultLayerEntries;
};

inline constexpr size_t kMaxConfigBytes = 1 << 20;

// Lays one document over `config`. `source` is named in errors.
Result<void> apply_config(Config& config, std::string_view json, std::string_view source);

std::optional<LogLevel> parse_log_level(std::string_view text);

// The files that would be read: the system's and the user's, existing or not; or the one that
// `explicit_path` (a file, or a directory with a config.json) names. `environment`: HOME,
// XDG_CONFIG_HOME through `lookup`.
using EnvironmentLookup = std::optional<std::string> (*)(const char* name);
std::vector<std::string> config_files(const std::string& explicit_path, EnvironmentLookup lookup);

// Reads them all. A missing default file is fine, a missing explicit one is not.
Result<Config> load_config(const std::string& explicit_path, EnvironmentLookup lookup);

// The effective configuration as a document with every key.
std::string config_json(const Config& config);

std::optional<std::string> environment_variable(const char* name);

}  // namespace wherry::cli
