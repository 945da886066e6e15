// The media types of images, OCI's and Docker's twins of them, and what they tell.
// Source: OCI image-spec 1.1, media-types.md; Docker "Image Manifest Version 2, Schema 2".
// A type decides what a blob is read as, never whether its bytes are to be trusted.
#pragma once

#include <optional>
#include <string_view>

namespace wherry::oci {

inline constexpr const char* kMediaTypeManifest = "application/vnd.oci.image.manifest.v1+json";
inline constexpr const char* kMediaTypeIndex = "application/vnd.oci.image.index.v1+json";
inline constexpr const char* kMediaTypeConfig = "application/vnd.oci.image.config.v1+json";
inline constexpr const char* kMediaTypeLayerTar = "application/vnd.oci.image.layer.v1.tar";
inline constexpr const char* kMediaTypeLayerGzip = "application/vnd.oci.image.layer.v1.tar+gzip";
inline constexpr const char* kMediaTypeLayerZstd = "application/vnd.oci.image.layer.v1.tar+zstd";

inline constexpr const char* kDockerManifest =
    "application/vnd.docker.distribution.manifest.v2+json";
inline constexpr const char* kDockerManifestList =
    "application/vnd.docker.distribution.manifest.list.v2+json";
inline constexpr const char* kDockerConfig = "application/vnd.docker.container.image.v1+json";
inline constexpr const char* kDockerLayerTar = "application/vnd.docker.image.rootfs.diff.tar";
inline constexpr const char* kDockerLayerGzip = "application/vnd.docker.image.rootfs.diff.tar.gzip";
inline constexpr const char* kDockerLayerZstd = "application/vnd.docker.image.rootfs.diff.tar.zstd";

enum class Compression { kNone, kGzip, kZstd };

bool is_manifest(std::string_view media_type);
bool is_index(std::string_view media_type);
bool is_config_media_type(std::string_view media_type);
// Of a file system's layer that can be unpacked: OCI's (the non-distributable ones too) and
// Docker's (the foreign ones too).
bool is_layer_media_type(std::string_view media_type);
// Layers that a push leaves where their urls say: OCI's nondistributable, Docker's foreign.
bool is_foreign_layer(std::string_view media_type);
// Of a layer's media type; nullopt when it is none.
std::optional<Compression> layer_compression(std::string_view media_type);
// The layer type of a manifest of this family (`manifest_type` is_manifest).
const char* layer_media_type(std::string_view manifest_type, Compression compression);

}  // namespace wherry::oci
