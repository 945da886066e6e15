#include "registry/manifest.h"

#include <array>
#include <nlohmann/json.hpp>

#include "base/text.h"
#include "oci/json_reader.h"

namespace wherry::registry {
namespace {

using nlohmann::json;

constexpr size_t kMostParts = 4096;

struct Kind {
  std::string_view media_type;
  bool is_index;
};
constexpr std::array kKinds = {
    Kind{"application/vnd.oci.image.manifest.v1+json", false},
    Kind{"application/vnd.docker.distribution.manifest.v2+json", false},
    Kind{"application/vnd.oci.image.index.v1+json", true},
    Kind{"application/vnd.docker.distribution.manifest.list.v2+json", true},
};

Error invalid(const std::string& why) {
  return Error(ErrorKind::kInvalidArgument, why);
}

Result<Kind> kind_of(const json& document, std::string_view content_type) {
  std::string own;
  TRY_VOID(oci::take_text(document, "mediaType", own));
  content_type = trim(split_once(content_type, ';').first);
  if (!own.empty() && !content_type.empty() && own != content_type)
    return invalid("'mediaType' is '" + own.substr(0, 100) + "', Content-Type '" +
                   std::string(content_type.substr(0, 100)) + "'");
  std::string_view type = content_type.empty() ? std::string_view(own) : content_type;
  for (const Kind& kind : kKinds)
    if (kind.media_type == type) return kind;
  return invalid("media type '" + std::string(type.substr(0, 100)) +
                 "' is not an image manifest or index of OCI or Docker schema 2");
}

Result<ManifestPart> read_descriptor(const json& item, const char* field) {
  std::string context = "'" + std::string(field) + "'";
  if (!item.is_object()) return invalid(context + " must be an object");
  std::string digest;
  TRY_VOID_CTX(oci::take_text(item, "digest", digest), context);
  std::optional<ContentDigest> parsed = ContentDigest::parse(digest);
  if (!parsed) return invalid(context + " has the digest '" + digest.substr(0, 150) + "'");
  auto size = item.find("size");
  if (size == item.end() || !size->is_number_unsigned())
    return invalid(context + ": 'size' must be a whole number, not negative");
  return ManifestPart{std::move(*parsed), size->get<uint64_t>()};
}

// Layers that their licence keeps at their origin are described, not stored (image-spec, layer.md).
Result<bool> lives_elsewhere(const json& item) {
  std::string type;
  std::vector<std::string> urls;
  TRY_VOID(oci::take_text(item, "mediaType", type));
  TRY_VOID(oci::take_texts(item, "urls", urls));
  return !urls.empty() && (type.contains("nondistributable") || type.contains(".foreign."));
}

Result<void> read_list(const json& document, const char* field, std::vector<ManifestPart>& parts) {
  auto list = document.find(field);
  if (list == document.end() || !list->is_array())
    return invalid("'" + std::string(field) + "' must be a list");
  if (list->size() > kMostParts)
    return Error(ErrorKind::kResourceExhausted,
                 "'" + std::string(field) + "' has more than 4096 entries");
  for (const json& item : *list) {
    TRY(ManifestPart part, read_descriptor(item, field));
    TRY(bool elsewhere, lives_elsewhere(item));
    if (!elsewhere) parts.push_back(std::move(part));
  }
  return {};
}

Result<void> read_image(const json& document, ManifestFacts& facts) {
  if (document.contains("manifests"))
    return invalid("it has both 'layers' or 'config' and 'manifests'");
  auto config = document.find("config");
  if (config == document.end()) return invalid("'config' is missing");
  TRY(ManifestPart part, read_descriptor(*config, "config"));
  facts.blobs.push_back(std::move(part));
  if (facts.artifact_type.empty())
    TRY_VOID(oci::take_text(*config, "mediaType", facts.artifact_type));
  return read_list(document, "layers", facts.blobs);
}

Result<void> read_index(const json& document, ManifestFacts& facts) {
  for (const char* other : {"layers", "config", "fsLayers"})
    if (document.contains(other))
      return invalid("it has both 'manifests' and '" + std::string(other) + "'");
  return read_list(document, "manifests", facts.manifests);
}

Result<void> read_common(const json& document, ManifestFacts& facts) {
  auto version = document.find("schemaVersion");
  if (version == document.end() || !version->is_number_integer() || version->get<int64_t>() != 2)
    return invalid("'schemaVersion' must be 2");
  TRY_VOID(oci::take_text(document, "artifactType", facts.artifact_type));
  auto subject = document.find("subject");
  if (subject != document.end() && !subject->is_null()) {
    TRY(ManifestPart part, read_descriptor(*subject, "subject"));
    facts.subject = std::move(part.digest);
  }
  auto annotations = document.find("annotations");
  if (annotations == document.end() || annotations->is_null()) return {};
  std::map<std::string, std::string> texts;
  TRY_VOID(oci::take_text_map(document, "annotations", texts));
  if (!texts.empty()) facts.annotations_json = annotations->dump();
  return {};
}

}  // namespace

Result<ManifestFacts> read_manifest(std::string_view bytes, std::string_view media_type) {
  TRY(json document, oci::parse_bounded(bytes, "manifest"));
  TRY(Kind kind, kind_of(document, media_type));
  ManifestFacts facts;
  facts.media_type = std::string(kind.media_type);
  facts.is_index = kind.is_index;
  TRY_VOID(read_common(document, facts));
  TRY_VOID(kind.is_index ? read_index(document, facts) : read_image(document, facts));
  return facts;
}

std::string referrer_descriptor(const ManifestFacts& facts, const ContentDigest& digest,
                                size_t size) {
  nlohmann::ordered_json descriptor;
  descriptor["mediaType"] = facts.media_type;
  descriptor["digest"] = digest.str();
  descriptor["size"] = size;
  if (!facts.artifact_type.empty()) descriptor["artifactType"] = facts.artifact_type;
  if (!facts.annotations_json.empty())
    descriptor["annotations"] = nlohmann::ordered_json::parse(facts.annotations_json);
  return descriptor.dump(-1, ' ', false, json::error_handler_t::replace);
}

std::string artifact_type_of(std::string_view descriptor) {
  json document = json::parse(descriptor, nullptr, /*allow_exceptions=*/false);
  if (!document.is_object()) return "";
  auto type = document.find("artifactType");
  return type != document.end() && type->is_string() ? type->get<std::string>() : "";
}

}  // namespace wherry::registry
