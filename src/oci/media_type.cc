#include "oci/media_type.h"

#include <algorithm>
#include <iterator>

namespace wherry::oci {
namespace {

struct LayerType {
  std::string_view name;
  Compression compression;
  bool foreign;
};
constexpr LayerType kLayerTypes[] = {
    {kMediaTypeLayerTar, Compression::kNone, false},
    {kMediaTypeLayerGzip, Compression::kGzip, false},
    {kMediaTypeLayerZstd, Compression::kZstd, false},
    {kDockerLayerTar, Compression::kNone, false},
    {kDockerLayerGzip, Compression::kGzip, false},
    {kDockerLayerZstd, Compression::kZstd, false},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar", Compression::kNone, true},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+gzip", Compression::kGzip, true},
    {"application/vnd.oci.image.layer.nondistributable.v1.tar+zstd", Compression::kZstd, true},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar", Compression::kNone, true},
    {"application/vnd.docker.image.rootfs.foreign.diff.tar.gzip", Compression::kGzip, true},
};

const LayerType* layer_type(std::string_view media_type) {
  const auto* found = std::ranges::find(kLayerTypes, media_type, &LayerType::name);
  return found == std::end(kLayerTypes) ? nullptr : found;
}

}  // namespace

bool is_manifest(std::string_view media_type) {
  return media_type == kMediaTypeManifest || media_type == kDockerManifest;
}

bool is_index(std::string_view media_type) {
  return media_type == kMediaTypeIndex || media_type == kDockerManifestList;
}

bool is_config_media_type(std::string_view media_type) {
  return media_type == kMediaTypeConfig || media_type == kDockerConfig;
}

bool is_layer_media_type(std::string_view media_type) {
  return layer_type(media_type) != nullptr;
}

bool is_foreign_layer(std::string_view media_type) {
  const LayerType* type = layer_type(media_type);
  return type != nullptr && type->foreign;
}

std::optional<Compression> layer_compression(std::string_view media_type) {
  const LayerType* type = layer_type(media_type);
  if (type == nullptr) return std::nullopt;
  return type->compression;
}

const char* layer_media_type(std::string_view manifest_type, Compression compression) {
  bool docker = manifest_type == kDockerManifest;
  switch (compression) {
    case Compression::kNone:
      return docker ? kDockerLayerTar : kMediaTypeLayerTar;
    case Compression::kGzip:
      return docker ? kDockerLayerGzip : kMediaTypeLayerGzip;
    case Compression::kZstd:
      return docker ? kDockerLayerZstd : kMediaTypeLayerZstd;
  }
  return kMediaTypeLayerTar;
}

}  // namespace wherry::oci
