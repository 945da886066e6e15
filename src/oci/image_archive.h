// The documents of image archives: manifest.json of docker save, oci-layout and the names in
// index.json of an OCI image layout. Plain data from foreign text; what the files hold is checked
// by whoever reads them. Source: Docker's image specification 1.2 ("combined image JSON"), OCI
// image-spec 1.1, image-layout.md.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "oci/image.h"
#include "oci/reference.h"

namespace wherry::oci {

inline constexpr const char* kLayoutFile = "oci-layout";
inline constexpr const char* kLayoutIndex = "index.json";
inline constexpr const char* kArchiveManifest = "manifest.json";
// Annotations of a layout's index that hold names.
inline constexpr const char* kRefNameAnnotation = "org.opencontainers.image.ref.name";
inline constexpr const char* kImageNameAnnotation = "io.containerd.image.name";

// One image of manifest.json.
struct ArchivedImage {
  std::string config;               // path of the configuration in the archive
  std::vector<std::string> layers;  // paths of the layers' tars, bottom first
  std::vector<ImageRef> names;      // RepoTags
};

// Limits: 4 MiB, depth 64, 1024 images, 1024 layers and 1024 names each. kCorrupt: paths that are
// absolute or have "..", names that are none, an archive without images.
Result<std::vector<ArchivedImage>> parse_archive_manifest(std::string_view json);
std::string to_json(const std::vector<ArchivedImage>& images);

// Whether this text is the oci-layout file of a version that is understood.
Result<void> check_layout(std::string_view json);
std::string layout_json();
// The name that a descriptor of a layout's index gives its image; nullopt: none, or only a tag.
std::optional<ImageRef> layout_name(const Descriptor& descriptor);
// "blobs/sha256/<hex>"
std::string layout_path(const Digest& digest);

}  // namespace wherry::oci
