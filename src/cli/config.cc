#include "cli/config.h"

#include <arpa/inet.h>
#include <fmt/format.h>
#include <sys/stat.h>

#include <cstdlib>
#include <nlohmann/json.hpp>
#include <set>

#include "base/text.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

using Json = nlohmann::ordered_json;

constexpr int kMaxDepth = 16;
constexpr int kMaxTransfers = 64;
constexpr std::string_view kKeys[] = {"data-root",
                                      "exec-root",
                                      "run-root",
                                      "log-driver",
                                      "log-opts",
                                      "ip",
                                      "debug",
                                      "log-level",
                                      "registry-mirrors",
                                      "insecure-registries",
                                      "max-concurrent-downloads",
                                      "max-concurrent-uploads",
                                      "storage-driver",
                                      "storage-budget",
                                      "max-layer-entries"};
// Keys of Docker's daemon.json that mean something there and nothing here yet.
constexpr std::string_view kLaterKeys[] = {"allow-nondistributable-artifacts",
                                           "authorization-plugins",
                                           "bip",
                                           "bip6",
                                           "bridge",
                                           "cgroup-parent",
                                           "containerd",
                                           "default-address-pools",
                                           "default-cgroupns-mode",
                                           "default-gateway",
                                           "default-gateway-v6",
                                           "default-ipc-mode",
                                           "default-network-opts",
                                           "default-runtime",
                                           "default-shm-size",
                                           "default-ulimits",
                                           "dns",
                                           "dns-opts",
                                           "dns-search",
                                           "exec-opts",
                                           "experimental",
                                           "features",
                                           "fixed-cidr",
                                           "fixed-cidr-v6",
                                           "group",
                                           "hosts",
                                           "http-proxy",
                                           "https-proxy",
                                           "icc",
                                           "init",
                                           "init-path",
                                           "ip-forward",
                                           "ip-masq",
                                           "ip6tables",
                                           "iptables",
                                           "ipv6",
                                           "labels",
                                           "live-restore",
                                           "log-format",
                                           "max-download-attempts",
                                           "metrics-addr",
                                           "mtu",
                                           "no-new-privileges",
                                           "no-proxy",
                                           "node-generic-resources",
                                           "pidfile",
                                           "proxies",
                                           "raw-logs",
                                           "runtimes",
                                           "seccomp-profile",
                                           "selinux-enabled",
                                           "shutdown-timeout",
                                           "storage-opts",
                                           "swarm-default-advertise-addr",
                                           "tls",
                                           "tlscacert",
                                           "tlscert",
                                           "tlskey",
                                           "tlsverify",
                                           "userland-proxy",
                                           "userland-proxy-path",
                                           "userns-remap"};

Error bad_key(std::string_view source, std::string_view key, std::string_view why) {
  return Error(ErrorKind::kInvalidArgument, fmt::format("'{}': key '{}' {}", source, key, why));
}

Error refuse_key(std::string_view source, std::string_view key) {
  if (key == "builder")
    return Error(ErrorKind::kUnsupported,
                 fmt::format("'{}': key 'builder' is not supported", source))
        .set_hint(
            "nothing is collected by itself: see 'wherry builder prune', 'wherry gc' and the "
            "key 'storage-budget'");
  for (std::string_view later : kLaterKeys)
    if (key == later)
      return Error(ErrorKind::kUnsupported,
                   fmt::format("'{}': key '{}' is not supported yet", source, key));
  Error error = bad_key(source, key, "is unknown");
  if (auto near = nearest(key, kKeys)) error.set_hint(fmt::format("did you mean '{}'?", *near));
  return error;
}

Result<Json> parse_document(std::string_view text, std::string_view source) {
  bool too_deep = false;
  std::set<std::string> keys;
  std::string twice;
  Json document = Json::parse(
      text,
      [&](int depth, Json::parse_event_t event, Json& value) {
        if (depth > kMaxDepth) too_deep = true;
        if (event == Json::parse_event_t::key && depth == 1 &&
            !keys.insert(value.get<std::string>()).second)
          twice = value.get<std::string>();
        return !too_deep;
      },
      false);
  if (too_deep)
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' is too deeply nested", source));
  if (document.is_discarded())
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' is not valid JSON", source));
  if (!document.is_object())
    return Error(ErrorKind::kInvalidArgument, fmt::format("'{}' is not a JSON object", source));
  if (!twice.empty()) return bad_key(source, twice, "is there twice");
  return document;
}

Result<std::string> text_value(const Json& value, std::string_view key, std::string_view source) {
  if (!value.is_string()) return bad_key(source, key, "must be a string");
  return value.get<std::string>();
}

Result<void> apply_log_option(Config& config, const std::string& name, const Json& value,
                              std::string_view source) {
  constexpr std::string_view kOptions[] = {"max-size", "max-file"};
  std::string key = "log-opts." + name;
  if (name != "max-size" && name != "max-file") {
    Error error = bad_key(source, key, "is unknown");
    if (auto near = nearest(name, kOptions))
      error.set_hint(fmt::format("did you mean '{}'?", *near));
    return error;
  }
  TRY(std::string text, text_value(value, key, source));
  if (name == "max-size") {
    auto bytes = parse_byte_size(text);
    if (text != "-1" && (!bytes || *bytes == 0))
      return bad_key(source, key, "must be a size such as \"10m\", or \"-1\" for no limit");
    config.log_max_size = text == "-1" ? "" : text;
    return {};
  }
  auto count = parse_u64(text);
  if (!count || *count < 1 || *count > 1000)
    return bad_key(source, key, "must be a string with a number from 1 to 1000");
  config.log_max_files = static_cast<int>(*count);
  return {};
}

Result<void> apply_log_driver(Config& config, const std::string& driver, std::string_view source) {
  config.log_driver = driver;
  if (driver == "json-file" || driver == "none") return {};
  return Error(ErrorKind::kUnsupported,
               fmt::format("'{}': log-driver '{}' is not supported yet; use json-file or none",
                           source, driver));
}

Result<void> apply_storage_driver(Config& config, const std::string& driver,
                                  std::string_view source) {
  config.storage_driver.reset();
  if (driver.empty()) return {};
  TRY_CTX(config.storage_driver, store::parse_rung(driver), fmt::format("'{}'", source));
  return {};
}

Result<void> apply_root(std::string& out, std::string text, std::string_view key,
                        std::string_view source) {
  if (!text.starts_with('/')) return bad_key(source, key, "must be an absolute path");
  out = std::move(text);
  return {};
}

// A list of registries, each of which `check` has nothing against.
Result<void> apply_registries(std::vector<std::string>& out, const Json& value,
                              Result<void> (*check)(std::string_view), std::string_view key,
                              std::string_view source) {
  if (!value.is_array()) return bad_key(source, key, "must be a list of strings");
  std::vector<std::string> entries;
  for (const Json& item : value) {
    if (!item.is_string()) return bad_key(source, key, "must be a list of strings");
    std::string entry = item.get<std::string>();
    if (Result<void> good = check(entry); !good)
      return bad_key(source, key,
                     fmt::format("has an entry that is wrong: {}", good.error().message()));
    entries.push_back(std::move(entry));
  }
  out = std::move(entries);
  return {};
}

Result<void> apply_transfers(int& out, const Json& value, std::string_view key,
                             std::string_view source) {
  if (!value.is_number_integer() || value < 1 || value > kMaxTransfers)
    return bad_key(source, key, fmt::format("must be a number from 1 to {}", kMaxTransfers));
  out = value.get<int>();
  return {};
}

Result<void> apply_budget(Config& config, const std::string& text, std::string_view key,
                          std::string_view source) {
  auto bytes = parse_byte_size(text);
  if (!bytes) return bad_key(source, key, "must be a size such as \"20g\"");
  config.storage_budget = static_cast<uint64_t>(*bytes);
  return {};
}

Result<void> apply_layer_entries(Config& config, const Json& value, std::string_view key,
                                 std::string_view source) {
  if (!value.is_number_integer() || value < 1 || value > store::kMaxLayerEntries)
    return bad_key(source, key,
                   fmt::format("must be a number from 1 to {}", store::kMaxLayerEntries));
  config.max_layer_entries = value.get<uint64_t>();
  return {};
}

Result<void> apply_key(Config& config, const std::string& key, const Json& value,
                       std::string_view source) {
  if (key == "debug") {
    if (!value.is_boolean()) return bad_key(source, key, "must be true or false");
    config.log_level = value.get<bool>() ? LogLevel::kDebug : LogLevel::kInfo;
    return {};
  }
  if (key == "log-opts") {
    if (!value.is_object()) return bad_key(source, key, "must be an object");
    for (auto option = value.begin(); option != value.end(); ++option)
      TRY_VOID(apply_log_option(config, option.key(), option.value(), source));
    return {};
  }
  if (key == "registry-mirrors")
    return apply_registries(config.registries.mirrors, value, transfer::check_mirror, key, source);
  if (key == "insecure-registries")
    return apply_registries(config.registries.insecure, value, transfer::check_insecure, key,
                            source);
  if (key == "max-concurrent-downloads")
    return apply_transfers(config.max_downloads, value, key, source);
  if (key == "max-concurrent-uploads")
    return apply_transfers(config.max_uploads, value, key, source);
  if (key == "max-layer-entries") return apply_layer_entries(config, value, key, source);
  TRY(std::string text, text_value(value, key, source));
  if (key == "storage-budget") return apply_budget(config, text, key, source);
  if (key == "data-root") return apply_root(config.data_root, std::move(text), key, source);
  if (key == "exec-root" || key == "run-root")
    return apply_root(config.run_root, std::move(text), key, source);
  if (key == "storage-driver") return apply_storage_driver(config, text, source);
  if (key == "log-driver") return apply_log_driver(config, text, source);
  if (key == "log-level") {
    auto level = parse_log_level(text);
    if (!level) return bad_key(source, key, "must be debug, info, warn or error");
    config.log_level = *level;
    return {};
  }
  in6_addr address{};  // "ip"
  if (inet_pton(AF_INET, text.c_str(), &address) != 1 &&
      inet_pton(AF_INET6, text.c_str(), &address) != 1)
    return bad_key(source, key, "must be an IP address");
  config.publish_address = std::move(text);
  return {};
}

bool is_directory(const std::string& path) {
  struct stat status{};
  return stat(path.c_str(), &status) == 0 && S_ISDIR(status.st_mode);
}

std::string_view level_name(LogLevel level) {
  switch (level) {
    case LogLevel::kDebug:
      return "debug";
    case LogLevel::kInfo:
      return "info";
    case LogLevel::kWarn:
      return "warn";
    case LogLevel::kError:
      return "error";
  }
  return "info";
}

}  // namespace

std::optional<LogLevel> parse_log_level(std::string_view text) {
  if (text == "debug") return LogLevel::kDebug;
  if (text == "info") return LogLevel::kInfo;
  if (text == "warn") return LogLevel::kWarn;
  if (text == "error" || text == "fatal") return LogLevel::kError;
  return std::nullopt;
}

Result<void> apply_config(Config& config, std::string_view json, std::string_view source) {
  TRY(Json document, parse_document(json, source));
  for (auto entry = document.begin(); entry != document.end(); ++entry) {
    bool known = false;
    for (std::string_view key : kKeys) known = known || key == entry.key();
    if (!known) return refuse_key(source, entry.key());
  }
  if (document.contains("run-root") && document.contains("exec-root"))
    return bad_key(source, "exec-root", "and 'run-root' are the same setting: keep one");
  // "debug" last: true wins over any log-level of the same file, as in Docker.
  bool debug = document.contains("debug");
  if (debug && document["debug"].is_boolean() && !document["debug"].get<bool>() &&
      document.contains("log-level"))
    debug = false;
  for (auto entry = document.begin(); entry != document.end(); ++entry)
    if (entry.key() != "debug") TRY_VOID(apply_key(config, entry.key(), entry.value(), source));
  if (debug) TRY_VOID(apply_key(config, "debug", document["debug"], source));
  return {};
}

std::vector<std::string> config_files(const std::string& explicit_path, EnvironmentLookup lookup) {
  if (!explicit_path.empty())
    return {is_directory(explicit_path) ? explicit_path + "/config.json" : explicit_path};
  std::vector<std::string> files = {"/etc/wherry/config.json"};
  auto base = lookup("XDG_CONFIG_HOME");
  // The base directory specification: a relative path is to be ignored.
  if (base && base->starts_with('/')) {
    files.push_back(*base + "/wherry/config.json");
  } else if (auto home = lookup("HOME"); home && home->starts_with('/')) {
    files.push_back(*home + "/.config/wherry/config.json");
  }
  return files;
}

Result<Config> load_config(const std::string& explicit_path, EnvironmentLookup lookup) {
  Config config;
  for (const std::string& path : config_files(explicit_path, lookup)) {
    Result<std::string> text = sys::read_file(path, kMaxConfigBytes);
    if (!text) {
      bool missing = text.error().errnum() == ENOENT || text.error().errnum() == ENOTDIR;
      if (missing && explicit_path.empty()) continue;
      return fail(std::move(text), "cannot read the configuration");
    }
    TRY_VOID_CTX(apply_config(config, *text, path), "cannot use the configuration");
  }
  return config;
}

std::string config_json(const Config& config) {
  Json document;
  document["data-root"] = config.data_root;
  document["run-root"] = config.run_root;
  document["log-driver"] = config.log_driver;
  document["log-opts"] = {
      {"max-size", config.log_max_size.empty() ? "-1" : config.log_max_size},
      {"max-file", std::to_string(config.log_max_files)},
  };
  document["ip"] = config.publish_address;
  document["log-level"] = level_name(config.log_level);
  document["registry-mirrors"] = config.registries.mirrors;
  document["insecure-registries"] = config.registries.insecure;
  document["max-concurrent-downloads"] = config.max_downloads;
  document["max-concurrent-uploads"] = config.max_uploads;
  document["storage-driver"] =
      config.storage_driver ? store::rung_name(*config.storage_driver) : "";
  document["storage-budget"] = std::to_string(config.storage_budget);
  document["max-layer-entries"] = config.max_layer_entries;
  return document.dump(4, ' ', false, Json::error_handler_t::replace);
}

std::optional<std::string> environment_variable(const char* name) {
  const char* value = getenv(name);
  if (value == nullptr || *value == '\0') return std::nullopt;
  return std::string(value);
}

}  // namespace wherry::cli
