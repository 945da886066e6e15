// Store::save: images as one tar that is both an OCI image layout and a docker-archive.
//
// Layers are the blobs as they travel (gzip as a rule), each once: docker, podman and skopeo read
// compressed layers from a docker-archive too. The order is fixed and times are zero, so that the
// same images give the same bytes.
#include <algorithm>
#include <set>

#include "base/trace.h"
#include "oci/image_archive.h"
#include "oci/platform.h"
#include "store/store_state.h"
#include "store/tar_writer.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

struct Layout {
  oci::Index index;
  std::vector<oci::ArchivedImage> images;
  std::vector<std::string> warnings;
};

class Saving {
 public:
  Saving(Store& store, int out) : store_(store), tar_(out) {}

  Result<void> begin() {
    TRY_VOID(tar_.directory("blobs/"));
    return tar_.directory("blobs/sha256/");
  }
  Result<void> add(const Store::SaveItem& item) {
    TRY(oci::ImageConfig config, oci::parse_image_config(item.image.config_json));
    TRY(std::string manifest_json, manifest_of(item));
    TRY(oci::Manifest manifest, oci::parse_manifest(manifest_json));
    oci::ArchivedImage archived{oci::layout_path(item.image.id), {}, item.names};
    for (const oci::Descriptor& layer : manifest.layers) {
      TRY_VOID(write_blob(layer));
      archived.layers.push_back(oci::layout_path(layer.digest));
    }
    TRY_VOID(write_document(item.image.id, item.image.config_json));
    Digest digest = sys::sha256(manifest_json);
    TRY_VOID(write_document(digest, manifest_json));
    describe({manifest.media_type, digest, static_cast<int64_t>(manifest_json.size()), {}}, config,
             item.names);
    layout_.images.push_back(std::move(archived));
    return {};
  }
  Result<std::vector<std::string>> end() {
    TRY_VOID(tar_.file(oci::kLayoutIndex, oci::to_json(layout_.index)));
    TRY_VOID(tar_.file(oci::kArchiveManifest, oci::to_json(layout_.images)));
    TRY_VOID(tar_.file(oci::kLayoutFile, oci::layout_json()));
    TRY_VOID(tar_.end());
    return std::move(layout_.warnings);
  }

 private:
  // That which came with the image as long as all of its blobs are here, else one of ours.
  Result<std::string> manifest_of(const Store::SaveItem& item) {
    TRY(std::string text, store_.distributable_manifest(item.image));
    TRY(oci::Manifest manifest, oci::parse_manifest(text));
    bool whole = std::ranges::all_of(manifest.layers, [&](const oci::Descriptor& layer) {
      return store_.open_blob(layer.digest).has_value();
    });
    if (whole) return text;
    layout_.warnings.push_back("image '" + std::string(item.image.id.short_hex()) +
                               "' is saved with a new manifest: the archives of its layers that "
                               "its own one names are not here");
    return store_.own_manifest(item.image);
  }
  Result<void> write_blob(const oci::Descriptor& layer) {
    if (!written_.insert(layer.digest).second) return {};
    TRY(sys::Fd blob, store_.open_blob(layer.digest));
    return tar_.file_of(oci::layout_path(layer.digest), blob.get(),
                        static_cast<uint64_t>(layer.size));
  }
  Result<void> write_document(const Digest& digest, const std::string& text) {
    if (!written_.insert(digest).second) return {};
    return tar_.file(oci::layout_path(digest), text);
  }
  // One descriptor for each name: that is how a layout has several.
  void describe(oci::Descriptor descriptor, const oci::ImageConfig& config,
                const std::vector<oci::ImageRef>& names) {
    descriptor.platform = oci::Platform{config.os, config.architecture, config.variant, {}};
    if (names.empty()) layout_.index.manifests.push_back(descriptor);
    for (const oci::ImageRef& name : names) {
      descriptor.annotations = {
          {oci::kImageNameAnnotation, name.repository() + ":" + name.tag().value_or("latest")},
          {oci::kRefNameAnnotation, name.tag().value_or("latest")}};
      layout_.index.manifests.push_back(descriptor);
    }
  }

  Store& store_;
  TarWriter tar_;
  Layout layout_;
  std::set<Digest> written_;
};

}  // namespace

Result<std::vector<std::string>> Store::save(int out_fd, const std::vector<SaveItem>& items) {
  TraceScope trace("store.save");
  Saving saving(*this, out_fd);
  TRY_VOID_CTX(saving.begin(), "cannot save");
  for (const SaveItem& item : items)
    TRY_VOID_CTX(saving.add(item),
                 "cannot save image '" + std::string(item.image.id.short_hex()) + "'");
  TRY_CTX(std::vector<std::string> warnings, saving.end(), "cannot save");
  return warnings;
}

}  // namespace wherry::store
