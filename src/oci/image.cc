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
constexpr const char* kDockerManifest = "application/vnd.docker.distribution.manifest.v2+json";

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
    auto empty = item.find("empty_layer");
    if (empty != item.end() && !empty->is_boolean())
      return corrupt("'history.empty_layer' must be true or false");
    entry.empty_layer = empty != item.end() && empty->get<bool>();
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

ordered_json run_config_json(const ImageRunConfig& config) {
  ordered_json object = ordered_json::object();
  put_text(object, "User", config.user);
  put_keys(object, "ExposedPorts", config.exposed_ports);
  put_texts(object, "Env", config.env);
  put_texts(object, "Entrypoint", config.entrypoint);
  put_texts(object, "Cmd", config.cmd);
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

// ---- manifest

Result<Descriptor> read_descriptor(const json& value, const char* what) {
  if (!value.is_object()) return corrupt("'" + std::string(what) + "' must be an object");
  std::string media_type;
  std::string digest_text;
  TRY_VOID_CTX(take_text(value, "mediaType", media_type), what);
  TRY_VOID_CTX(take_text(value, "digest", digest_text), what);
  TRY_CTX(Digest digest, Digest::parse(digest_text), what);
  if (media_type.empty()) return corrupt(std::string(what) + ": 'mediaType' is missing");
  auto size = value.find("size");
  if (size == value.end() || !size->is_number_integer())
    return corrupt(std::string(what) + ": 'size' must be a whole number");
  if ((size->is_number_unsigned() && size->get<uint64_t>() > INT64_MAX) || size->get<int64_t>() < 0)
    return corrupt(std::string(what) + ": 'size' is out of range");
  Descriptor descriptor{media_type, digest, size->get<int64_t>(), {}};
  TRY_VOID_CTX(take_text_map(value, "annotations", descriptor.annotations), what);
  return descriptor;
}

Result<Manifest> read_manifest(const json& document) {
  auto version = document.find("schemaVersion");
  if (version == document.end() || !version->is_number_integer())
    return corrupt("'schemaVersion' must be a number");
  if (*version == 1) return Error(ErrorKind::kUnsupported, "schema 1 manifests are not supported");
  if (*version != 2) return corrupt("'schemaVersion' must be 2");
  std::string media_type;
  TRY_VOID(take_text(document, "mediaType", media_type));
  if (!media_type.empty() && media_type != kMediaTypeManifest && media_type != kDockerManifest)
    return corrupt("'mediaType' is '" + media_type.substr(0, 200) + "', not that of a manifest");
  // A document that is an index and a manifest at once means different images to different readers.
  if (document.contains("manifests")) return corrupt("it has both layers and 'manifests'");
  auto config = document.find("config");
  if (config == document.end()) return corrupt("'config' is missing");
  TRY(Descriptor config_descriptor, read_descriptor(*config, "config"));
  auto layers = document.find("layers");
  if (layers == document.end() || !layers->is_array()) return corrupt("'layers' must be a list");
  if (layers->size() > kMaxLayers)
    return Error(ErrorKind::kResourceExhausted, "it has more than 1024 layers");
  Manifest manifest{
      media_type.empty() ? kMediaTypeManifest : media_type, std::move(config_descriptor), {}, {}};
  for (const json& layer : *layers) {
    TRY(Descriptor descriptor, read_descriptor(layer, "layers"));
    manifest.layers.push_back(std::move(descriptor));
  }
  TRY_VOID(take_text_map(document, "annotations", manifest.annotations));
  return manifest;
}

ordered_json descriptor_json(const Descriptor& descriptor) {
  ordered_json object;
  object["mediaType"] = descriptor.media_type;
  object["digest"] = descriptor.digest.str();
  object["size"] = descriptor.size;
  put_map(object, "annotations", descriptor.annotations);
  return object;
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

Result<Manifest> parse_manifest(std::string_view text) {
  TRY(json document, parse_bounded(text, "image manifest"));
  Result<Manifest> manifest = read_manifest(document);
  if (!manifest) return fail(std::move(manifest), "invalid image manifest");
  return manifest;
}

std::string to_json(const Manifest& manifest) {
  ordered_json document;
  document["schemaVersion"] = 2;
  document["mediaType"] = manifest.media_type;
  document["config"] = descriptor_json(manifest.config);
  document["layers"] = ordered_json::array();
  for (const Descriptor& layer : manifest.layers)
    document["layers"].push_back(descriptor_json(layer));
  put_map(document, "annotations", manifest.annotations);
  return dumped(document);
}

}  // namespace wherry::oci
