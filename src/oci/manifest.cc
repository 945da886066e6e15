// Manifests and indexes: reading, writing, telling them apart, choosing by platform.
#include <algorithm>

#include "base/text.h"
#include "oci/image.h"
#include "oci/json_reader.h"

namespace wherry::oci {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxEntries = 1024;

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

std::string in_quotes(std::string_view text) {
  return "'" + std::string(text.substr(0, 200)) + "'";
}

// ---- reading

Result<Platform> read_platform(const json& value) {
  if (!value.is_object()) return corrupt("'platform' must be an object");
  Platform platform;
  TRY_VOID(take_text(value, "os", platform.os));
  TRY_VOID(take_text(value, "architecture", platform.architecture));
  TRY_VOID(take_text(value, "variant", platform.variant));
  TRY_VOID(take_text(value, "os.version", platform.os_version));
  return platform;
}

Result<Descriptor> read_descriptor_fields(const json& value) {
  std::string media_type;
  std::string digest_text;
  TRY_VOID(take_text(value, "mediaType", media_type));
  TRY_VOID(take_text(value, "digest", digest_text));
  TRY(Digest digest, Digest::parse(digest_text));
  if (media_type.empty()) return corrupt("'mediaType' is missing");
  int64_t size = -1;
  TRY_VOID(take_number(value, "size", size));
  if (size < 0) return corrupt("'size' must be a whole number");
  Descriptor descriptor{std::move(media_type), std::move(digest), size, {}, {}, {}, {}};
  TRY_VOID(take_text_map(value, "annotations", descriptor.annotations));
  TRY_VOID(take_texts(value, "urls", descriptor.urls));
  TRY_VOID(take_text(value, "artifactType", descriptor.artifact_type));
  auto platform = value.find("platform");
  if (platform != value.end() && !platform->is_null()) {
    TRY(descriptor.platform, read_platform(*platform));
  }
  return descriptor;
}

Result<Descriptor> read_descriptor(const json& value, const char* what) {
  if (!value.is_object()) return corrupt("'" + std::string(what) + "' must be an object");
  TRY_CTX(Descriptor descriptor, read_descriptor_fields(value), what);
  return descriptor;
}

Result<std::vector<Descriptor>> read_list(const json& document, const char* key) {
  auto list = document.find(key);
  if (list == document.end() || !list->is_array())
    return corrupt("'" + std::string(key) + "' must be a list");
  if (list->size() > kMaxEntries)
    return Error(ErrorKind::kResourceExhausted, "it has more than 1024 " + std::string(key));
  std::vector<Descriptor> descriptors;
  for (const json& item : *list) {
    TRY(Descriptor descriptor, read_descriptor(item, key));
    descriptors.push_back(std::move(descriptor));
  }
  return descriptors;
}

// What the two kinds have beside their lists.
template <typename Document>
Result<void> read_rest(const json& document, Document& target) {
  std::string media_type;
  TRY_VOID(take_text(document, "mediaType", media_type));
  if (!media_type.empty()) target.media_type = std::move(media_type);
  TRY_VOID(take_text_map(document, "annotations", target.annotations));
  TRY_VOID(take_text(document, "artifactType", target.artifact_type));
  auto subject = document.find("subject");
  if (subject != document.end() && !subject->is_null()) {
    TRY(target.subject, read_descriptor(*subject, "subject"));
  }
  return {};
}

// By its content; everything it says about itself must agree.
Result<DocumentKind> kind_of(const json& document) {
  auto version = document.find("schemaVersion");
  if (version == document.end() || !version->is_number_integer())
    return corrupt("'schemaVersion' must be a number");
  if (*version == 1) return Error(ErrorKind::kUnsupported, "schema 1 manifests are not supported");
  if (*version != 2) return corrupt("'schemaVersion' must be 2");
  bool manifest = document.contains("layers") || document.contains("config");
  bool index = document.contains("manifests");
  if (manifest && index) return corrupt("it has both layers and 'manifests'");
  if (document.contains("fsLayers")) return corrupt("it has 'fsLayers' in schema 2");
  std::string media_type;
  TRY_VOID(take_text(document, "mediaType", media_type));
  if (manifest && !media_type.empty() && !is_manifest(media_type))
    return corrupt("'mediaType' is " + in_quotes(media_type) + ", not that of a manifest");
  if (index && !media_type.empty() && !is_index(media_type))
    return corrupt("'mediaType' is " + in_quotes(media_type) + ", not that of an index");
  if (!manifest && !index) return corrupt("it has neither layers nor 'manifests'");
  return manifest ? DocumentKind::kManifest : DocumentKind::kIndex;
}

Result<Manifest> read_manifest(const json& document) {
  TRY(DocumentKind kind, kind_of(document));
  if (kind != DocumentKind::kManifest) return corrupt("it is an index");
  auto config = document.find("config");
  if (config == document.end()) return corrupt("'config' is missing");
  TRY(Descriptor descriptor, read_descriptor(*config, "config"));
  Manifest manifest{kMediaTypeManifest, std::move(descriptor), {}, {}, {}, {}};
  TRY(manifest.layers, read_list(document, "layers"));
  TRY_VOID(read_rest(document, manifest));
  return manifest;
}

Result<Index> read_index(const json& document) {
  TRY(DocumentKind kind, kind_of(document));
  if (kind != DocumentKind::kIndex) return corrupt("it is a manifest");
  Index index;
  TRY(index.manifests, read_list(document, "manifests"));
  TRY_VOID(read_rest(document, index));
  return index;
}

// ---- writing

void put_text(ordered_json& object, const char* key, const std::string& text) {
  if (!text.empty()) object[key] = text;
}

void put_map(ordered_json& object, const char* key, const std::map<std::string, std::string>& map) {
  for (const auto& [name, value] : map) object[key][name] = value;
}

ordered_json platform_json(const Platform& platform) {
  ordered_json object;
  object["architecture"] = platform.architecture;
  object["os"] = platform.os;
  put_text(object, "os.version", platform.os_version);
  put_text(object, "variant", platform.variant);
  return object;
}

ordered_json descriptor_json(const Descriptor& descriptor) {
  ordered_json object;
  object["mediaType"] = descriptor.media_type;
  object["digest"] = descriptor.digest.str();
  object["size"] = descriptor.size;
  if (!descriptor.urls.empty()) object["urls"] = descriptor.urls;
  put_map(object, "annotations", descriptor.annotations);
  if (descriptor.platform) object["platform"] = platform_json(*descriptor.platform);
  put_text(object, "artifactType", descriptor.artifact_type);
  return object;
}

ordered_json list_json(const std::vector<Descriptor>& descriptors) {
  ordered_json list = ordered_json::array();
  for (const Descriptor& descriptor : descriptors) list.push_back(descriptor_json(descriptor));
  return list;
}

ordered_json head_json(const std::string& media_type, const std::string& artifact_type) {
  ordered_json document;
  document["schemaVersion"] = 2;
  document["mediaType"] = media_type;
  put_text(document, "artifactType", artifact_type);
  return document;
}

template <typename Document>
std::string dumped_with_rest(ordered_json document, const Document& source) {
  if (source.subject) document["subject"] = descriptor_json(*source.subject);
  put_map(document, "annotations", source.annotations);
  return document.dump(-1, ' ', false, ordered_json::error_handler_t::replace);
}

// ---- platforms

bool is_attestation(const Descriptor& descriptor) {
  return descriptor.platform && descriptor.platform->os == "unknown";
}

std::string platforms_of(const Index& index) {
  std::string names;
  for (const Descriptor& entry : index.manifests)
    if (entry.platform && !is_attestation(entry) && names.size() < 500)
      names += (names.empty() ? "" : ", ") + to_text(*entry.platform);
  return names.empty() ? "the index has no image" : "the index has " + names;
}

// The one image of an index that says nothing of platforms.
const Descriptor* only_image(const Index& index) {
  const Descriptor* only = nullptr;
  for (const Descriptor& entry : index.manifests) {
    if (entry.platform || !entry.artifact_type.empty() || only != nullptr) return nullptr;
    only = &entry;
  }
  return only;
}

}  // namespace

Result<Manifest> parse_manifest(std::string_view text) {
  TRY(json document, parse_bounded(text, "image manifest"));
  TRY_CTX(Manifest manifest, read_manifest(document), "invalid image manifest");
  return manifest;
}

Result<Index> parse_index(std::string_view text) {
  TRY(json document, parse_bounded(text, "image index"));
  TRY_CTX(Index index, read_index(document), "invalid image index");
  return index;
}

std::string to_json(const Manifest& manifest) {
  ordered_json document = head_json(manifest.media_type, manifest.artifact_type);
  document["config"] = descriptor_json(manifest.config);
  document["layers"] = list_json(manifest.layers);
  return dumped_with_rest(std::move(document), manifest);
}

std::string to_json(const Index& index) {
  ordered_json document = head_json(index.media_type, index.artifact_type);
  document["manifests"] = list_json(index.manifests);
  return dumped_with_rest(std::move(document), index);
}

Result<DocumentKind> document_kind(std::string_view text, std::string_view announced) {
  TRY(json document, parse_bounded(text, "image manifest"));
  TRY_CTX(DocumentKind kind, kind_of(document), "invalid image manifest");
  std::string type = to_lower(trim(split_once(announced, ';').first));
  bool other = kind == DocumentKind::kManifest ? is_index(type) : is_manifest(type);
  if (other)
    return corrupt("invalid image manifest: announced as " + in_quotes(type) + ", but it is " +
                   (kind == DocumentKind::kManifest ? "a manifest" : "an index"));
  return kind;
}

Result<Descriptor> choose_platform(const Index& index, std::string_view platform) {
  TRY(Platform wanted, parse_platform(platform));
  const Descriptor* best = nullptr;
  int best_distance = 0;
  for (const Descriptor& entry : index.manifests) {
    if (!entry.platform || is_attestation(entry)) continue;
    auto distance = platform_distance(wanted, normalised(*entry.platform));
    if (!distance || (best != nullptr && *distance >= best_distance)) continue;
    best = &entry;
    best_distance = *distance;
  }
  if (best == nullptr) best = only_image(index);
  if (best == nullptr)
    return Error(ErrorKind::kNotFound,
                 "no matching manifest for '" + to_text(wanted) + "' in the manifest list entries")
        .set_hint(platforms_of(index));
  return *best;
}

}  // namespace wherry::oci
