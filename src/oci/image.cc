#include "oci/image.h"

#include <algorithm>

#include "oci/json_reader.h"
#include "oci/ports.h"

namespace wherry::oci {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxLayers = 1024;
// Every port of the three protocols once; overlapping ranges multiply.
constexpr size_t kMaxPorts = 3 * 65535;
constexpr size_t kMaxUser = 1024;

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

// ---- configuration, reading

Result<void> check_run_config(ImageRunConfig& config) {
  std::vector<std::string> ports;
  for (const std::string& text : config.exposed_ports) {
    Result<std::vector<std::string>> expanded = expand_ports(text);
    if (!expanded) return corrupt("'ExposedPorts': " + expanded.error().message());
    ports.insert(ports.end(), expanded->begin(), expanded->end());
    if (ports.size() > kMaxPorts) return corrupt("'ExposedPorts' has too many ports");
  }
  std::ranges::sort(ports);
  ports.erase(std::ranges::unique(ports).begin(), ports.end());
  config.exposed_ports = std::move(ports);
  if (config.user.size() > kMaxUser) return corrupt("'User' is longer than 1024 bytes");
  if (!config.working_dir.empty() && config.working_dir.front() != '/')
    return corrupt("'WorkingDir' is not an absolute path");
  for (const std::string& variable : config.env)
    if (variable.empty() || variable.front() == '=')
      return corrupt("'Env' has a variable without a name");
  for (const std::string& volume : config.volumes)
    if (volume.empty() || volume.front() != '/')
      return corrupt("'Volumes' has a path that is not absolute");
  return {};
}

Result<void> read_healthcheck(const json& config, std::optional<Healthcheck>& target) {
  auto found = config.find("Healthcheck");
  if (found == config.end() || found->is_null()) return {};
  if (!found->is_object()) return corrupt("'Healthcheck' must be an object");
  Healthcheck check;
  TRY_VOID(take_texts(*found, "Test", check.test));
  TRY_VOID(take_number(*found, "Interval", check.interval_ns));
  TRY_VOID(take_number(*found, "Timeout", check.timeout_ns));
  TRY_VOID(take_number(*found, "StartPeriod", check.start_period_ns));
  TRY_VOID(take_number(*found, "StartInterval", check.start_interval_ns));
  TRY_VOID(take_number(*found, "Retries", check.retries));
  target = std::move(check);
  return {};
}

Result<void> read_run_config(const json& document, ImageRunConfig& config) {
  auto found = document.find("config");
  if (found == document.end() || found->is_null()) return {};
  if (!found->is_object()) return corrupt("'config' must be an object");
  TRY_VOID(take_text(*found, "User", config.user));
  TRY_VOID(take_keys(*found, "ExposedPorts", config.exposed_ports));
  TRY_VOID(take_texts(*found, "Env", config.env));
  TRY_VOID(take_texts(*found, "Entrypoint", config.entrypoint));
  TRY_VOID(take_texts(*found, "Cmd", config.cmd));
  TRY_VOID(take_keys(*found, "Volumes", config.volumes));
  TRY_VOID(take_text(*found, "WorkingDir", config.working_dir));
  TRY_VOID(take_text_map(*found, "Labels", config.labels));
  TRY_VOID(take_text(*found, "StopSignal", config.stop_signal));
  TRY_VOID(take_texts(*found, "Shell", config.shell));
  TRY_VOID(take_texts(*found, "OnBuild", config.on_build));
  TRY_VOID(read_healthcheck(*found, config.healthcheck));
  TRY_VOID(take_flag(*found, "ArgsEscaped", config.args_escaped));
  return check_run_config(config);
}

Result<void> read_layers(const json& document, std::vector<Digest>& diff_ids) {
  auto rootfs = document.find("rootfs");
  if (rootfs == document.end() || !rootfs->is_object())
    return corrupt("'rootfs' must be an object");
  std::string type;
  TRY_VOID(take_text(*rootfs, "type", type));
  if (type != "layers") return corrupt("'rootfs.type' must be 'layers'");
  std::vector<std::string> texts;
  TRY_VOID(take_texts(*rootfs, "diff_ids", texts));
  if (texts.size() > kMaxLayers)
    return Error(ErrorKind::kResourceExhausted, "'diff_ids' has more than 1024 layers");
  for (const std::string& text : texts) {
    TRY_CTX(Digest digest, Digest::parse(text), "'diff_ids'");
    diff_ids.push_back(std::move(digest));
  }
  return {};
}

Result<void> read_history(const json& document, std::vector<History>& history) {
  auto list = document.find("history");
  if (list == document.end() || list->is_null()) return {};
  if (!list->is_array()) return corrupt("'history' must be a list");
  for (const json& item : *list) {
    if (!item.is_object()) return corrupt("'history' must be a list of objects");
    History entry;
    TRY_VOID(take_text(item, "created", entry.created));
    TRY_VOID(take_text(item, "created_by", entry.created_by));
    TRY_VOID(take_text(item, "comment", entry.comment));
    TRY_VOID(take_text(item, "author", entry.author));
    TRY_VOID(take_flag(item, "empty_layer", entry.empty_layer));
    history.push_back(std::move(entry));
  }
  return {};
}

Result<void> read_config(const json& document, ImageConfig& config) {
  TRY_VOID(take_text(document, "created", config.created));
  TRY_VOID(take_text(document, "author", config.author));
  config.architecture.clear();
  config.os.clear();
  TRY_VOID(take_text(document, "architecture", config.architecture));
  TRY_VOID(take_text(document, "os", config.os));
  if (config.architecture.empty()) return corrupt("'architecture' is missing");
  if (config.os.empty()) return corrupt("'os' is missing");
  TRY_VOID(take_text(document, "variant", config.variant));
  TRY_VOID(read_run_config(document, config.config));
  TRY_VOID(read_layers(document, config.diff_ids));
  return read_history(document, config.history);
}

// ---- configuration, writing

void put_text(ordered_json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}

void put_texts(ordered_json& object, const char* key, const std::vector<std::string>& texts) {
  if (!texts.empty()) object[key] = texts;
}

void put_keys(ordered_json& object, const char* key, const std::vector<std::string>& names) {
  for (const std::string& name : names) object[key][name] = ordered_json::object();
}

void put_map(ordered_json& object, const char* key, const std::map<std::string, std::string>& map) {
  for (const auto& [name, value] : map) object[key][name] = value;
}

ordered_json healthcheck_json(const Healthcheck& check) {
  ordered_json object = ordered_json::object();
  put_texts(object, "Test", check.test);
  auto put = [&](const char* key, int64_t value) {
    if (value != 0) object[key] = value;
  };
  put("Interval", check.interval_ns);
  put("Timeout", check.timeout_ns);
  put("StartPeriod", check.start_period_ns);
  put("StartInterval", check.start_interval_ns);
  put("Retries", check.retries);
  return object;
}

ordered_json run_config_json(const ImageRunConfig& config) {
  ordered_json object = ordered_json::object();
  put_text(object, "User", config.user);
  put_keys(object, "ExposedPorts", config.exposed_ports);
  put_texts(object, "Env", config.env);
  put_texts(object, "Entrypoint", config.entrypoint);
  put_texts(object, "Cmd", config.cmd);
  if (config.healthcheck) object["Healthcheck"] = healthcheck_json(*config.healthcheck);
  if (config.args_escaped) object["ArgsEscaped"] = true;
  put_keys(object, "Volumes", config.volumes);
  put_text(object, "WorkingDir", config.working_dir);
  put_map(object, "Labels", config.labels);
  put_text(object, "StopSignal", config.stop_signal);
  put_texts(object, "Shell", config.shell);
  put_texts(object, "OnBuild", config.on_build);
  return object;
}

ordered_json history_json(const History& history) {
  ordered_json object = ordered_json::object();
  put_text(object, "created", history.created);
  put_text(object, "created_by", history.created_by);
  put_text(object, "author", history.author);
  put_text(object, "comment", history.comment);
  if (history.empty_layer) object["empty_layer"] = true;
  return object;
}

// Bytes that are no UTF-8 cannot be in JSON; they become U+FFFD.
std::string dumped(const ordered_json& document) {
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

}  // namespace

Result<ImageConfig> parse_image_config(std::string_view text) {
  TRY(json document, parse_bounded(text, "image configuration"));
  ImageConfig config;
  TRY_VOID_CTX(read_config(document, config), "invalid image configuration");
  return config;
}

std::string to_json(const ImageConfig& config) {
  ordered_json document;
  put_text(document, "created", config.created);
  put_text(document, "author", config.author);
  document["architecture"] = config.architecture;
  document["os"] = config.os;
  put_text(document, "variant", config.variant);
  document["config"] = run_config_json(config.config);
  ordered_json diff_ids = ordered_json::array();
  for (const Digest& digest : config.diff_ids) diff_ids.push_back(digest.str());
  document["rootfs"] = {{"type", "layers"}, {"diff_ids", std::move(diff_ids)}};
  for (const History& history : config.history)
    document["history"].push_back(history_json(history));
  return dumped(document);
}

}  // namespace wherry::oci
