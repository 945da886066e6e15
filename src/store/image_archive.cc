#include "store/image_archive.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <map>

#include "archive/unpack_client.h"
#include "oci/json_reader.h"
#include "oci/platform.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

constexpr const char* kArchive = "archive";
// Indexes in indexes: more than one level is nowhere made.
constexpr int kMaxIndexes = 3;
constexpr const char* kAttestationAnnotation = "vnd.docker.reference.type";

Error corrupt(const std::string& message) {
  return Error(ErrorKind::kCorrupt, message);
}

Error no_archive() {
  return corrupt("it is no image archive: neither 'index.json' nor 'manifest.json' is in it")
      .set_hint(
          "archives of docker save and OCI image layouts are read; 'import' takes the tar of "
          "a root file system");
}

bool is_attestation(const oci::Descriptor& descriptor) {
  return descriptor.annotations.contains(kAttestationAnnotation) ||
         (descriptor.platform && descriptor.platform->os == "unknown" &&
          descriptor.platform->architecture == "unknown");
}

// Descriptors of a layout's index under the names they give, those without one together.
std::map<std::string, std::vector<oci::Descriptor>> by_name(const oci::Index& index) {
  std::map<std::string, std::vector<oci::Descriptor>> groups;
  for (const oci::Descriptor& descriptor : index.manifests) {
    if (is_attestation(descriptor)) continue;
    std::optional<oci::ImageRef> name = oci::layout_name(descriptor);
    groups[name ? name->familiar() : ""].push_back(descriptor);
  }
  return groups;
}

// Several under one name are one image for several platforms; without a name they are only when
// each says for which.
bool are_platforms(const std::string& name, const std::vector<oci::Descriptor>& group) {
  if (group.size() < 2) return false;
  return !name.empty() || std::ranges::all_of(group, [](const oci::Descriptor& descriptor) {
    return descriptor.platform.has_value();
  });
}

bool has_plain_layer(const oci::Manifest& manifest) {
  return std::ranges::any_of(manifest.layers, [](const oci::Descriptor& layer) {
    return oci::layer_compression(layer.media_type) == oci::Compression::kNone;
  });
}

}  // namespace

Result<ImageArchive> ImageArchive::open(const Places& places, state::Database& database, int fd) {
  struct stat info{};
  if (fstat(fd, &info) != 0) return Error::from_errno(errno, "cannot look at it");
  if (S_ISDIR(info.st_mode)) {
    TRY(sys::Fd tree, sys::open_at(fd, ".", O_RDONLY | O_DIRECTORY));
    return ImageArchive(std::nullopt, std::move(tree));
  }
  TRY(Incoming incoming, Incoming::create(places, database));
  TRY(sys::Fd tree, sys::make_dir_at(incoming.directory(), kArchive, 0700));
  TRY(archive::Outline outline,
      archive::run_outline({.tar = fd, .directory = tree.get(), .lock = incoming.lock_fd()}));
  // Which of two files under one name counts depends on the reader: others would see another image.
  if (outline.replaced > 0) return corrupt("the archive has entries that replace earlier ones");
  ImageArchive archive(std::move(incoming), std::move(tree));
  if (!outline.left.empty()) {
    archive.tar_.reset(fcntl(fd, F_DUPFD_CLOEXEC, 0));
    if (!archive.tar_) return Error::from_errno(errno, "cannot keep the archive open");
  }
  for (const archive::LeftFile& file : outline.left) archive.left_.emplace(file.inode, file.part);
  return archive;
}

Result<sys::Fd> ImageArchive::file(const std::string& path) const {
  Result<sys::Fd> opened = sys::open_beneath(tree_.get(), path, O_RDONLY | O_NONBLOCK | O_NOCTTY);
  if (!opened && opened.error().errnum() == ENOENT)
    return corrupt("'" + path + "' is missing in the archive");
  if (!opened && (opened.error().errnum() == EXDEV || opened.error().errnum() == ELOOP))
    return corrupt("'" + path + "' leads out of the archive");
  if (!opened) return opened;
  struct stat info{};
  if (fstat(opened->get(), &info) != 0)
    return Error::from_errno(errno, "cannot open '" + path + "'");
  if (!S_ISREG(info.st_mode)) return corrupt("'" + path + "' is not a file");
  return opened;
}

Result<LayerFile> ImageArchive::layer(const std::string& path) const {
  TRY(sys::Fd opened, file(path));
  struct stat info{};
  if (fstat(opened.get(), &info) != 0)
    return Error::from_errno(errno, "cannot open '" + path + "'");
  auto left = left_.find(info.st_ino);
  if (left == left_.end()) return LayerFile{std::move(opened), std::nullopt};
  sys::Fd tar(fcntl(tar_.get(), F_DUPFD_CLOEXEC, 0));
  if (!tar) return Error::from_errno(errno, "cannot open '" + path + "'");
  return LayerFile{std::move(tar), left->second};
}

Result<std::string> ImageArchive::document(const std::string& path) const {
  TRY(sys::Fd opened, file(path));
  struct stat info{};
  if (fstat(opened.get(), &info) != 0)
    return Error::from_errno(errno, "cannot read '" + path + "'");
  if (static_cast<uint64_t>(info.st_size) > oci::kMaxJsonBytes)
    return Error(
        ErrorKind::kResourceExhausted,
        "'" + path + "' has " + std::to_string(info.st_size) + " bytes; at most 4 MiB are read");
  TRY_CTX(std::string text, sys::read_all(opened.get(), oci::kMaxJsonBytes),
          "cannot read '" + path + "'");
  return text;
}

Result<std::string> ImageArchive::document_of(const oci::Descriptor& descriptor) const {
  const std::string path = oci::layout_path(descriptor.digest);
  TRY(std::string text, document(path));
  if (static_cast<uint64_t>(descriptor.size) != text.size())
    return corrupt("'" + path + "' has " + std::to_string(text.size()) + " bytes, not " +
                   std::to_string(descriptor.size));
  Digest digest = sys::sha256(text);
  if (digest != descriptor.digest)
    return corrupt("'" + path + "' has the digest '" + digest.str() + "'");
  return text;
}

Result<PlannedImage> ImageArchive::docker_image(const oci::ArchivedImage& archived) const {
  PlannedImage image;
  TRY(image.config_json, document(archived.config));
  TRY_CTX(oci::ImageConfig config, oci::parse_image_config(image.config_json),
          "'" + archived.config + "'");
  if (config.diff_ids.size() != archived.layers.size())
    return corrupt("'manifest.json' names " + std::to_string(archived.layers.size()) +
                   " layers, '" + archived.config + "' " + std::to_string(config.diff_ids.size()));
  image.diff_ids = std::move(config.diff_ids);
  for (const std::string& path : archived.layers) image.layers.push_back({path, std::nullopt});
  image.names = archived.names;
  return image;
}

Result<PlannedImage> ImageArchive::layout_image(oci::Descriptor descriptor,
                                                const std::string& platform) const {
  TRY(std::string text, document_of(descriptor));
  for (int level = 0;; ++level) {
    TRY_CTX(oci::DocumentKind kind, oci::document_kind(text, descriptor.media_type),
            "'" + oci::layout_path(descriptor.digest) + "'");
    if (kind == oci::DocumentKind::kManifest) break;
    if (level == kMaxIndexes) return corrupt("indexes are nested too deeply");
    TRY(oci::Index index, oci::parse_index(text));
    TRY(descriptor, oci::choose_platform(index, platform));
    TRY(text, document_of(descriptor));
  }
  TRY(oci::Manifest manifest, oci::parse_manifest(text));
  PlannedImage image;
  TRY(image.config_json, document_of(manifest.config));
  TRY_CTX(oci::ImageConfig config, oci::parse_image_config(image.config_json),
          "'" + oci::layout_path(manifest.config.digest) + "'");
  if (config.diff_ids.size() != manifest.layers.size())
    return corrupt("the manifest has " + std::to_string(manifest.layers.size()) +
                   " layers, the configuration " + std::to_string(config.diff_ids.size()));
  for (const oci::Descriptor& layer : manifest.layers) {
    if (!oci::is_layer_media_type(layer.media_type))
      return Error(ErrorKind::kUnsupported,
                   "layers of type '" + layer.media_type.substr(0, 200) + "' are not supported");
    image.layers.push_back({oci::layout_path(layer.digest), layer});
  }
  image.diff_ids = std::move(config.diff_ids);
  // Plain layers travel compressed from here, so such a manifest cannot be sent on.
  if (!has_plain_layer(manifest)) image.manifest_json = std::move(text);
  return image;
}

Result<std::vector<PlannedImage>> ImageArchive::layout_images(const std::string& platform) const {
  TRY(std::string layout, document(oci::kLayoutFile));
  TRY_VOID(oci::check_layout(layout));
  TRY(std::string text, document(oci::kLayoutIndex));
  TRY_CTX(oci::Index index, oci::parse_index(text), "'index.json'");
  const std::string wanted = platform.empty() ? oci::to_text(oci::host_platform()) : platform;
  std::vector<PlannedImage> images;
  for (const auto& [name, group] : by_name(index)) {
    std::vector<oci::Descriptor> chosen = group;
    if (!platform.empty() || are_platforms(name, group)) {
      oci::Index part;
      part.manifests = group;
      TRY(oci::Descriptor one, oci::choose_platform(part, wanted));
      chosen = {std::move(one)};
    }
    for (const oci::Descriptor& descriptor : chosen) {
      TRY(PlannedImage image, layout_image(descriptor, wanted));
      if (std::optional<oci::ImageRef> given = oci::layout_name(descriptor))
        image.names.push_back(std::move(*given));
      images.push_back(std::move(image));
    }
  }
  if (images.empty()) return corrupt("'index.json' names no image");
  return images;
}

Result<std::vector<PlannedImage>> ImageArchive::images(const std::string& platform) const {
  if (sys::exists_at(tree_.get(), oci::kLayoutFile) &&
      sys::exists_at(tree_.get(), oci::kLayoutIndex))
    return layout_images(platform);
  if (!sys::exists_at(tree_.get(), oci::kArchiveManifest)) return no_archive();
  TRY(std::string text, document(oci::kArchiveManifest));
  TRY(std::vector<oci::ArchivedImage> archived, oci::parse_archive_manifest(text));
  std::vector<PlannedImage> images;
  for (const oci::ArchivedImage& one : archived) {
    TRY(PlannedImage image, docker_image(one));
    images.push_back(std::move(image));
  }
  return images;
}

}  // namespace wherry::store
