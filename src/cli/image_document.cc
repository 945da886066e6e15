#include "cli/image_document.h"

#include "base/clock.h"
#include "oci/image.h"
#include "oci/reference.h"

namespace wherry::cli {
namespace {

// Sets of the API are objects with empty objects as values.
Json as_set(const std::vector<std::string>& names) {
  if (names.empty()) return nullptr;
  Json set = Json::object();
  for (const std::string& name : names) set[name] = Json::object();
  return set;
}

Json or_null(const std::vector<std::string>& list) {
  return list.empty() ? Json(nullptr) : Json(list);
}

Json run_config(const oci::ImageRunConfig& config) {
  Json document;
  document["User"] = config.user;
  if (!config.exposed_ports.empty()) document["ExposedPorts"] = as_set(config.exposed_ports);
  document["Env"] = or_null(config.env);
  document["Cmd"] = or_null(config.cmd);
  document["Volumes"] = as_set(config.volumes);
  document["WorkingDir"] = config.working_dir;
  document["Entrypoint"] = or_null(config.entrypoint);
  document["OnBuild"] = or_null(config.on_build);
  document["Labels"] = config.labels.empty() ? Json(nullptr) : Json(config.labels);
  if (!config.stop_signal.empty()) document["StopSignal"] = config.stop_signal;
  if (!config.shell.empty()) document["Shell"] = config.shell;
  return document;
}

}  // namespace

Result<Json> image_document(const store::Image& image) {
  TRY_CTX(oci::ImageConfig config, oci::parse_image_config(image.config_json),
          "the image '" + image.id.str() + "'");
  Json tags = Json::array();
  Json digests = Json::array();
  for (const std::string& stored : image.tags) {
    Result<oci::ImageRef> reference = oci::ImageRef::parse(stored);
    if (!reference) continue;
    tags.push_back(reference->familiar());
  }
  for (const std::string& known : image.repo_digests) {
    Result<oci::ImageRef> reference = oci::ImageRef::parse(known);
    if (reference) digests.push_back(reference->familiar());
  }
  Json layers = Json::array();
  for (const Digest& layer : config.diff_ids) layers.push_back(layer.str());
  Json document;
  document["Id"] = image.id.str();
  document["RepoTags"] = std::move(tags);
  document["RepoDigests"] = std::move(digests);
  document["Parent"] = "";
  document["Comment"] = config.history.empty() ? "" : config.history.back().comment;
  document["Created"] = config.created.empty() ? format_rfc3339(image.created_ns) : config.created;
  document["Author"] = config.author;
  document["Config"] = run_config(config.config);
  document["Architecture"] = config.architecture;
  if (!config.variant.empty()) document["Variant"] = config.variant;
  document["Os"] = config.os;
  document["Size"] = image.size;
  document["RootFS"] = {{"Type", "layers"}, {"Layers", std::move(layers)}};
  return document;
}

}  // namespace wherry::cli
