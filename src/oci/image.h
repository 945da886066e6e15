// OCI image manifest and configuration as plain data, to and from JSON.
// Source: OCI image-spec 1.1 (manifest.md, config.md); Docker's extra config fields kept.
// The exact bytes of a manifest or config are what counts (their digest); these structs are a view.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"

namespace wherry::oci {

inline constexpr const char* kMediaTypeManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kMediaTypeConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr const char* kMediaTypeLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr const char* kMediaTypeLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";

// The part of an image's configuration that containers are made from.
struct ImageRunConfig {
  std::string user;
  std::vector<std::string> exposed_ports;  // "80/tcp", sorted
  std::vector<std::string> env;
  std::vector<std::string> entrypoint;
  std::vector<std::string> cmd;
  std::vector<std::string> volumes;  // sorted
  std::string working_dir;
  std::map<std::string, std::string> labels;
  std::string stop_signal;
  std::vector<std::string> shell;
  std::vector<std::string> on_build;
};

struct History {
  std::string created;
  std::string created_by;
  std::string comment;
  std::string author;
  bool empty_layer = false;
};

struct ImageConfig {
  std::string created;  // RFC 3339
  std::string author;
  std::string architecture = "amd64";
  std::string os = "linux";
  std::string variant;
  ImageRunConfig config;
  std::vector<Digest> diff_ids;
  std::vector<History> history;
};

struct Descriptor {
  std::string media_type;
  Digest digest;
  int64_t size = 0;
  std::map<std::string, std::string> annotations;
};

struct Manifest {
  std::string media_type = kMediaTypeManifest;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
};

// Limits: 4 MiB, depth 64, 1024 layers, sizes >= 0.
Result<ImageConfig> parse_image_config(std::string_view json);
std::string to_json(const ImageConfig& config);
Result<Manifest> parse_manifest(std::string_view json);
std::string to_json(const Manifest& manifest);

// `wherry import --change`: CMD ENTRYPOINT ENV EXPOSE LABEL USER VOLUME WORKDIR STOPSIGNAL ONBUILD
// in Dockerfile syntax applied to `config`; another instruction is kInvalidArgument and names the
// allowed.
Result<void> apply_change(ImageRunConfig& config, std::string_view instruction);

}  // namespace wherry::oci
