// OCI image manifest, index and configuration as plain data, to and from JSON.
// Source: OCI image-spec 1.1 (manifest.md, image-index.md, config.md) and Docker's twins of them
// (manifest v2 schema 2, manifest list); Docker's extra config fields kept.
// The exact bytes of a manifest or config are what counts (their digest); these structs are a view.
// A document that could be read as a manifest and as an index is kCorrupt everywhere, because it
// would mean different images to different readers.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "oci/media_type.h"
#include "oci/platform.h"

namespace wherry::oci {

// Docker's HEALTHCHECK; OCI has no field for it. Times in nanoseconds; 0 means the default.
struct Healthcheck {
  std::vector<std::string> test;  // {"NONE"}, {"CMD", args...}, {"CMD-SHELL", text}; empty: inherit
  int64_t interval_ns = 0;
  int64_t timeout_ns = 0;
  int64_t start_period_ns = 0;
  int64_t start_interval_ns = 0;
  int64_t retries = 0;
  bool operator==(const Healthcheck&) const = default;
};

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
  std::optional<Healthcheck> healthcheck;
  bool args_escaped = false;  // ArgsEscaped: Docker's builder sets it with every CMD
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
  std::optional<Platform> platform;  // in an index
  std::vector<std::string> urls;     // of layers that registries do not hold
  std::string artifact_type;
};

struct Manifest {
  std::string media_type = kMediaTypeManifest;
  Descriptor config;
  std::vector<Descriptor> layers;
  std::map<std::string, std::string> annotations;
  std::string artifact_type;
  std::optional<Descriptor> subject;
};

struct Index {
  std::string media_type = kMediaTypeIndex;
  std::vector<Descriptor> manifests;
  std::map<std::string, std::string> annotations;
  std::string artifact_type;
  std::optional<Descriptor> subject;
};

// Limits: 4 MiB, depth 64, 1024 layers or manifests, sizes >= 0. A digest of another algorithm than
// sha256 is kUnsupported and named.
Result<ImageConfig> parse_image_config(std::string_view json);
std::string to_json(const ImageConfig& config);
Result<Manifest> parse_manifest(std::string_view json);
std::string to_json(const Manifest& manifest);
Result<Index> parse_index(std::string_view json);
std::string to_json(const Index& index);

// What a document is, by its content. `announced` (a registry's Content-Type, a descriptor's
// mediaType; parameters behind ';' do not count) may be empty or name something general; when it
// names the other kind, or the document contradicts itself, that is kCorrupt.
enum class DocumentKind { kManifest, kIndex };
Result<DocumentKind> document_kind(std::string_view json, std::string_view announced);

// The manifest of `platform` ("os/arch[/variant]"): the best variant that it can run, the first of
// equals. Attestations (unknown/unknown) never match. The only image of an index without any
// platforms is taken as it is. kNotFound has the platforms that there are in its hint.
Result<Descriptor> choose_platform(const Index& index, std::string_view platform);

// `wherry import --change`: CMD ENTRYPOINT ENV EXPOSE LABEL USER VOLUME WORKDIR STOPSIGNAL ONBUILD
// in Dockerfile syntax applied to `config`; another instruction is kInvalidArgument and names the
// allowed.
Result<void> apply_change(ImageRunConfig& config, std::string_view instruction);

}  // namespace wherry::oci
