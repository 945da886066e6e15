#include "oci/image_archive.h"

#include <algorithm>

#include "base/text.h"
#include "oci/json_reader.h"

namespace wherry::oci {
namespace {

using nlohmann::json;
using nlohmann::ordered_json;

constexpr size_t kMaxImages = 1024;
constexpr size_t kMaxLayers = 1024;
constexpr size_t kMaxNames = 1024;
constexpr size_t kMaxPath = 4095;

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

std::string shown(std::string_view text) {
  return "'" + std::string(text.substr(0, 200)) + "'";
}

Result<void> check_path(const std::string& path) {
  if (path.empty() || path.size() > kMaxPath) return corrupt("a path is empty or too long");
  auto parts = split(path, '/');
  if (path.front() == '/' ||
      std::ranges::any_of(parts, [](std::string_view part) { return part == ".."; }))
    return corrupt("path " + shown(path) + " leads out of the archive");
  return {};
}

Result<ArchivedImage> read_image(const json& item) {
  if (!item.is_object()) return corrupt("it must be a list of objects");
  ArchivedImage image;
  TRY_VOID(take_text(item, "Config", image.config));
  TRY_VOID(take_texts(item, "Layers", image.layers));
  std::vector<std::string> names;
  TRY_VOID(take_texts(item, "RepoTags", names));
  if (image.layers.size() > kMaxLayers || names.size() > kMaxNames)
    return Error(ErrorKind::kResourceExhausted, "an image has more than 1024 layers or names");
  TRY_VOID_CTX(check_path(image.config), "'Config'");
  for (const std::string& path : image.layers) TRY_VOID_CTX(check_path(path), "'Layers'");
  for (const std::string& name : names) {
    TRY_CTX(ImageRef reference, ImageRef::parse(name), "'RepoTags'");
    if (reference.digest()) return corrupt("'RepoTags' has " + shown(name) + ", not a tag");
    image.names.push_back(std::move(reference));
  }
  return image;
}

Result<std::vector<ArchivedImage>> read_images(const json& document) {
  if (!document.is_array()) return corrupt("it must be a list");
  if (document.empty()) return corrupt("it has no images");
  if (document.size() > kMaxImages)
    return Error(ErrorKind::kResourceExhausted, "it has more than 1024 images");
  std::vector<ArchivedImage> images;
  for (const json& item : document) {
    TRY(ArchivedImage image, read_image(item));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace

Result<std::vector<ArchivedImage>> parse_archive_manifest(std::string_view text) {
  TRY(json document, parse_bounded_value(text, "'manifest.json'"));
  Result<std::vector<ArchivedImage>> images = read_images(document);
  if (!images) return fail(std::move(images), "invalid 'manifest.json'");
  return images;
}

std::string to_json(const std::vector<ArchivedImage>& images) {
  ordered_json document = ordered_json::array();
  for (const ArchivedImage& image : images) {
    ordered_json item;
    item["Config"] = image.config;
    item["RepoTags"] = nullptr;
    for (const ImageRef& name : image.names) item["RepoTags"].push_back(name.familiar());
    item["Layers"] = image.layers;
    document.push_back(std::move(item));
  }
  return document.dump();
}

Result<void> check_layout(std::string_view text) {
  TRY(json document, parse_bounded(text, "'oci-layout'"));
  if (!document.is_object()) return corrupt("invalid 'oci-layout': it must be an object");
  std::string version;
  TRY_VOID_CTX(take_text(document, "imageLayoutVersion", version), "invalid 'oci-layout'");
  if (version.empty()) return corrupt("invalid 'oci-layout': 'imageLayoutVersion' is missing");
  if (!version.starts_with("1."))
    return Error(ErrorKind::kUnsupported,
                 "image layouts of version " + shown(version) + " are not supported");
  return {};
}

std::string layout_json() {
  return R"({"imageLayoutVersion":"1.0.0"})";
}

std::optional<ImageRef> layout_name(const Descriptor& descriptor) {
  for (const char* key : {kImageNameAnnotation, kRefNameAnnotation}) {
    auto found = descriptor.annotations.find(key);
    if (found == descriptor.annotations.end()) continue;
    // A bare word is a tag whose repository nobody has written down.
    if (found->second.find_first_of(":/") == std::string::npos) continue;
    Result<ImageRef> reference = ImageRef::parse(found->second);
    if (reference && !reference->digest()) return std::move(*reference);
  }
  return std::nullopt;
}

std::string layout_path(const Digest& digest) {
  return "blobs/sha256/" + digest.hex();
}

}  // namespace wherry::oci
