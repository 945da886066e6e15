#include "transfer/resolve.h"

#include <sys/mman.h>

#include "base/failpoint.h"
#include "oci/media_type.h"
#include "sys/fd.h"
#include "sys/sha256.h"

namespace wherry::transfer {
namespace {

constexpr int64_t kMaxConfig = 4 << 20;

Error not_an_image(const oci::Manifest& manifest) {
  const std::string& kind =
      manifest.artifact_type.empty() ? manifest.config.media_type : manifest.artifact_type;
  return Error(ErrorKind::kUnsupported,
               "it is not a container image but an artifact of type '" + kind.substr(0, 200) + "'")
      .set_hint("artifacts (charts, signatures, modules) need the tool that they were made with");
}

Error too_old() {
  return Error(ErrorKind::kUnsupported,
               "it is in the image format that Docker gave up (manifest schema 1)")
      .set_hint("pull and push it with an older docker or skopeo, which writes the current format");
}

bool is_schema1(const std::string& media_type) {
  return media_type.starts_with("application/vnd.docker.distribution.manifest.v1+");
}

Result<void> check_image(const oci::Manifest& manifest) {
  if (!manifest.artifact_type.empty() || !oci::is_config_media_type(manifest.config.media_type))
    return not_an_image(manifest);
  for (const oci::Descriptor& layer : manifest.layers)
    if (!oci::is_layer_media_type(layer.media_type))
      return Error(ErrorKind::kUnsupported, "layer '" + layer.digest.str() +
                                                "' is of the unknown type '" +
                                                layer.media_type.substr(0, 200) + "'");
  return {};
}

Result<RemoteManifest> get_document(Remote& remote, const std::string& tag_or_digest) {
  TRY(RemoteManifest document, remote.get_manifest(tag_or_digest));
  if (is_schema1(document.media_type)) return too_old();
  return document;
}

Result<RemoteManifest> follow_index(Remote& remote, const RemoteManifest& document,
                                    const std::string& platform) {
  TRY(oci::Index index, oci::parse_index(document.bytes));
  Result<oci::Descriptor> found = oci::choose_platform(index, platform);
  // The name is there; another registry would have nothing else.
  if (!found)
    return Error(ErrorKind::kUnsupported, found.error().message()).set_hint(found.error().hint());
  const oci::Descriptor& chosen = *found;
  TRY(RemoteManifest manifest, get_document(remote, chosen.digest.str()));
  if (static_cast<int64_t>(manifest.bytes.size()) != chosen.size)
    return Error(ErrorKind::kCorrupt, "manifest '" + chosen.digest.str() + "' has " +
                                          std::to_string(manifest.bytes.size()) +
                                          " bytes where the index says " +
                                          std::to_string(chosen.size));
  TRY(oci::DocumentKind kind, oci::document_kind(manifest.bytes, chosen.media_type));
  if (kind != oci::DocumentKind::kManifest)
    return Error(ErrorKind::kUnsupported,
                 "its index names another index, '" + chosen.digest.str() + "'");
  return manifest;
}

}  // namespace

Result<Resolved> resolve(Remote& remote, const std::string& tag_or_digest,
                         const std::string& platform) {
  TRY(RemoteManifest document, get_document(remote, tag_or_digest));
  Digest digest = document.digest;
  TRY(oci::DocumentKind kind, oci::document_kind(document.bytes, document.media_type));
  if (kind == oci::DocumentKind::kIndex) {
    TRY(document, follow_index(remote, document, platform));
  }
  TRY(oci::Manifest manifest, oci::parse_manifest(document.bytes));
  TRY_VOID(check_image(manifest));
  TRY_VOID(failpoint("transfer.pull.resolved"));
  std::string media_type = manifest.media_type;
  return Resolved{std::move(digest), std::move(media_type), std::move(document.bytes),
                  std::move(manifest)};
}

Result<std::string> fetch_blob(Remote& remote, const oci::Descriptor& blob) {
  std::string context = "cannot fetch the configuration";
  if (blob.size > kMaxConfig)
    return Error(ErrorKind::kResourceExhausted,
                 context + ": blob '" + blob.digest.str() + "' is larger than 4 MiB");
  sys::Fd memory(memfd_create("blob", MFD_CLOEXEC));
  if (!memory) return Error::from_errno(errno, context);
  TRY_CTX(int id,
          remote.start_download({blob.digest, static_cast<uint64_t>(blob.size), memory.get()}),
          context);
  for (;;) {
    TRY_CTX(Remote::Event event, remote.next(), context);
    if (event.id != id || event.kind == Remote::Event::Kind::kProgress) continue;
    if (event.kind == Remote::Event::Kind::kFailed) return std::move(*event.error).wrap(context);
    break;
  }
  if (lseek(memory.get(), 0, SEEK_SET) != 0) return Error::from_errno(errno, context);
  TRY_CTX(std::string bytes, sys::read_all(memory.get(), kMaxConfig), context);
  if (static_cast<int64_t>(bytes.size()) != blob.size || sys::sha256(bytes) != blob.digest)
    return Error(ErrorKind::kCorrupt, context + ": its bytes are not what their digest says");
  TRY_VOID(failpoint("transfer.pull.config"));
  return bytes;
}

Result<oci::ImageConfig> read_config(const std::string& json, const oci::Manifest& manifest) {
  TRY(oci::ImageConfig config, oci::parse_image_config(json));
  if (config.diff_ids.size() != manifest.layers.size())
    return Error(ErrorKind::kCorrupt, "its manifest has " + std::to_string(manifest.layers.size()) +
                                          " layers and its configuration " +
                                          std::to_string(config.diff_ids.size()));
  if (config.os != "linux")
    return Error(ErrorKind::kUnsupported,
                 "it is for the operating system '" + config.os + "', not for linux");
  return config;
}

}  // namespace wherry::transfer
