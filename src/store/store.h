// The image store: objects, layers, images and what containers stand on; docs/design/store.md.
//
//   <root>/objects/xx/...           contents of files, each once for all images
//   <root>/layers/<diffid hex>/     a layer: record, recipe, index (store/layer_folder.h)
//   <root>/trees/                   merged trees, ready to be mounted (store/snapshot.h)
//   <root>/blobs/sha256/<hex>       layers in the compressed form in which they travel
//   <root>/incoming/<random>/       half-made things; swept when no lease holds them
//   images, tags, layers, blobs     rows in state.db: config bytes, manifest bytes, layer sizes
//
// Acknowledged means durable: objects and folders are written, one syncfs, folders renamed to their
// place, then the references are committed in one transaction. Anything less leaves only incoming/
// entries, whose lock file the kernel has freed: sweep() removes them. Thread rule: any number of
// processes; one object per thread.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <optional>
#include <span>
#include <string>
#include <vector>

#include "archive/pack_client.h"
#include "base/digest.h"
#include "oci/image.h"
#include "oci/reference.h"
#include "state/database.h"
#include "store/fsck.h"
#include "store/ladder.h"
#include "store/layer_draft.h"
#include "store/lease.h"
#include "store/limits.h"
#include "store/upper.h"
#include "sys/fd.h"
#include "tree/difference.h"

namespace wherry::store {

struct Image {
  Digest id;  // config digest
  Digest manifest;
  std::string config_json;    // exact bytes
  std::string manifest_json;  // exact bytes
  std::vector<std::string>
      tags;  // repository:tag as the store keys them ("docker.io/library/debian:bookworm")
  // "docker.io/library/debian@sha256:...": by which digests repositories know it.
  std::vector<std::string> repo_digests;
  int64_t created_ns = 0;
  uint64_t size = 0;  // bytes of all layers
  // Only of what list() returns: of the layers above the image that this one stands on, and of
  // those that no other image has.
  uint64_t own_size = 0, unique_size = 0;
  // The manifest is ours (imports, builds); false: it came with the image and is sent as it is.
  bool made_here = true;
  // Only of what import_tar returns: extended attributes of the tar that are not in the image.
  uint64_t dropped_xattrs = 0;
};

// What an overlay stands on to show a chain of layers, all paths absolute.
struct MountPlan {
  std::vector<std::string> lower;  // directories, topmost first; may be empty with `metadata`
  // Below them (sys/overlay.h): an EROFS file and the directory with its contents, or both empty.
  std::string metadata;
  std::string objects;

  bool empty() const { return lower.empty() && metadata.empty(); }
};

struct ImportOptions {
  std::string source;  // what errors call the tar: a path, a URL, "-"; may be empty
  std::optional<oci::ImageRef> reference;
  std::vector<std::string> changes;  // apply_change, in order
  std::string message;  // history comment; Docker's default "Imported from -" is the caller's
  oci::ImageRunConfig config;  // starting point
  std::string created_by;
};

// By which digest a repository knows an image: that of an index or of a manifest.
struct ImageSource {
  std::string repository;  // "docker.io/library/debian"
  Digest digest;
};

// An image whose layers are known or come with it.
struct NewImage {
  std::string manifest_json;  // exact bytes; empty: made from the config and the layers' blobs
  std::string config_json;    // exact bytes
  std::vector<oci::ImageRef> references;  // tags that point to it afterwards
  std::vector<ImageSource> sources;       // RepoDigests
};

struct StoreOptions {
  // The run root's directory, borrowed: keeps what was found out until the next boot. -1: nothing
  // is kept.
  int run_root = -1;
  std::optional<Rung> rung;                           // forced; empty: the best that works here
  uint64_t max_layer_entries = kDefaultLayerEntries;  // of one layer that comes or is made here
};

class Store {
 public:
  struct State;  // store/store_state.h
  // Makes the directories (0700) when missing. `root`: absolute.
  static Result<Store> open(state::Database& database, const std::string& root,
                            const StoreOptions& options = {});
  Store(Store&&) noexcept;
  ~Store();

  // One tar (plain, gzip, bzip2, xz, zstd) from `tar_fd` becomes a one-layer image: streamed
  // through wherry-unpack, durable on return. Failpoints: store.import.begin, store.layer.unpacked,
  // store.layer.synced, store.layer.renamed, store.image.before, store.image.after.
  Result<Image> import_tar(int tar_fd, const ImportOptions& options);

  // --- layers from elsewhere and from builds
  // A new draft with an empty tree (0755, root's).
  Result<LayerDraft> new_layer();
  // A new draft for wherry-unpack.
  Result<LayerDraft> new_archive_layer();
  // Holds nothing yet.
  Result<Lease> new_lease();
  // True: the layer is here and whole; a pull or build need not make it again.
  Result<bool> has_layer(const Digest& diff_id);
  // The same before a build counts on it, looking at all of it once in a boot (store/look.h), and
  // with the reason: kNotFound, or kCorrupt with what heals it as hint.
  Result<void> check_layer(const Digest& diff_id);
  // Moves finished drafts to their place and records them, and the image when there is one: one
  // sync, one transaction, durable on return. `within` runs inside the transaction after the layers
  // are recorded (the build cache records its steps there). Layers that are there already are left
  // alone. kCorrupt: manifest, configuration and layers do not belong together. Failpoints:
  // store.layer.synced, store.layer.renamed, store.image.before, store.image.after.
  Result<std::optional<Image>> commit(std::vector<LayerDraft> layers,
                                      const std::optional<NewImage>& image,
                                      const std::function<Result<void>()>& within = {});
  // The blob that this layer came or went with, newest first; empty: none is kept.
  Result<std::vector<Blob>> blobs_of(const Digest& diff_id);
  Result<sys::Fd> open_blob(const Digest& blob);
  // A kept blob of the layer, the wanted compression before others; else one that is packed now
  // from the layer's recipe, checked against the diff id and kept, durable on return. kCorrupt: the
  // layer is damaged.
  Result<Blob> blob_for(const Digest& diff_id, archive::Compression compression);
  // The manifest to send: that which came with the image, byte for byte; of one that was made here
  // a manifest whose layers are all kept as blobs. Packs those that are not (`packing` is told of
  // each before) and records the new manifest; once made it stays.
  Result<std::string> distributable_manifest(
      const Image& image, const std::function<void(const Digest&)>& packing = {});
  // A manifest of ours for any image, of the blobs that are kept; layers without any are packed
  // (`packing` is told of each before). Nothing is recorded of it. Errors as blob_for().
  Result<std::string> own_manifest(const Image& image,
                                   const std::function<void(const Digest&)>& packing = {});
  // After a push: the repository knows the image by this digest now.
  Result<void> note_image_source(const Digest& image, const ImageSource& source);
  // Where a blob is known to be ("host:port/team/app"): what a push need not send again. Advisory:
  // a registry is asked before it is believed.
  Result<void> note_blob_source(const Digest& blob, const std::string& repository);
  Result<std::vector<std::string>> blob_sources(const Digest& blob);

  // --- archives
  struct LoadOptions {
    std::string source;    // what errors call the archive: a path; may be empty
    std::string platform;  // "os/arch[/variant]" of multi-platform archives; empty: this machine's
  };
  struct Loaded {
    Image image;
    std::vector<oci::ImageRef> names;  // that the archive gave it
  };
  // All images of a docker-archive or OCI layout: a tar (plain, gzip, bzip2, xz, zstd) or, for a
  // layout, a directory. All or none; durable on return. Failpoints: store.load.begin,
  // store.load.opened, store.load.layer, and those of commit().
  Result<std::vector<Loaded>> load(int archive_fd, const LoadOptions& options);
  struct SaveItem {
    Image image;
    std::vector<oci::ImageRef> names;
  };
  // One tar that is an OCI layout and a docker-archive. Returns warnings.
  Result<std::vector<std::string>> save(int out_fd, const std::vector<SaveItem>& items);

  // --- images
  // By reference ("debian", "debian:bookworm", "name@sha256:..."), full id, or unique id prefix.
  // kNotFound: "no such image: x".
  // `platform`: "os/arch[/variant]", of a name that has images of several; empty: this machine's.
  Result<Image> find(std::string_view name_or_id, std::string_view platform = {});
  Result<bool> has_image(const Digest& id);
  Result<std::vector<Image>> list();  // newest first
  Result<void> tag(const Digest& image, const oci::ImageRef& reference);

  struct Removed {
    std::vector<std::string> untagged;  // familiar references
    std::vector<std::string> deleted;   // "sha256:..." of images and layers
    uint64_t bytes = 0;                 // of the layers and blobs that are gone
  };
  // Docker's rmi: a reference removes that tag, and the image with its layers when it was the last;
  // an id removes the image when it has at most one repository, else kConflict unless `force`.
  // `in_use`: image ids that containers use: kConflict names the container (given as value).
  Result<Removed> remove(std::string_view name_or_id, bool force,
                         const std::vector<std::pair<std::string, std::string>>& in_use);

  // Removes layers that neither an image nor a cached step needs and no lease holds. `within` comes
  // first, in the same transaction: it forgets steps. The bytes of their trees and blobs.
  // Failpoints: store.prune.before, store.prune.recorded.
  Result<uint64_t> prune_layers(const std::function<Result<void>()>& within);

  // --- the upper of a container's overlay (store/upper.h)
  // What of the engine's mount points (paths without leading slash) the image has not.
  Result<Stubs> stubs(const Image& image, std::span<const std::string_view> places);
  // A draft whose tree is a copy of the upper as it is now; the blocks are shared where that works.
  // Failpoints: those of a checkout, store.upper.copied.
  Result<LayerDraft> copy_upper(int upper, const Stubs& stubs);
  // Finishes such a draft with a confined helper. Empty: it changes nothing.
  Result<std::optional<LayerDraft>> pack_copy(LayerDraft draft);
  // What is different from the image, in the order of paths: a directory in which something is
  // counts as changed, of a directory that is gone only its own name is told. With which other
  // names a file is one is not compared. Files of the same size are read. The sink's error ends it.
  Result<void> changes(const Image& image, int upper, const Stubs& stubs,
                       const std::function<Result<void>(const tree::Difference&)>& sink);

  Result<MountPlan> mount_plan(const Image& image);
  // Of any chain, lowest first; made when nobody has needed it before. Empty chains have an empty
  // plan. kNotFound names the layer that is not here.
  Result<MountPlan> mount_plan(const std::vector<Digest>& diff_ids);
  // --- looking after it
  // Everything acknowledged is looked at, or read again. Problems are in the report.
  Result<FsckReport> fsck(const FsckOptions& options);
  // Frees what nobody needs, and blobs that can be had again as far as the budget asks for it.
  // Failpoints: store.collect.before, store.collect.recorded.
  Result<Collected> collect(const CollectOptions& options);
  // Of all images, as list() has them.
  Result<std::vector<ImageUsage>> usage();
  // Every difference of what two images look like, in the order of paths; its error ends it.
  Result<void> differences(const Image& before, const Image& after,
                           const std::function<Result<void>(const tree::Difference&)>& sink);
  // The names of an image in order.
  Result<void> walk(const Image& image,
                    const std::function<Result<void>(const tree::Entry&)>& sink);
  // By which equal file systems are known, whatever their layers; empty of an image without layers.
  Result<std::string> tree_digest(const Image& image);

  // Bytes of one layer's tree.
  Result<uint64_t> layer_size(const Digest& diff_id);
  // What containers stand on here; chosen by trying it, once for a boot.
  Result<Rung> rung();
  // Removes half-made things that no living process holds. Called by every command that writes.
  Result<void> sweep();

 private:
  explicit Store(std::unique_ptr<State> state);
  std::unique_ptr<State> state_;
};

}  // namespace wherry::store
