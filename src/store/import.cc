// Store::import_tar: unpack, sync once, rename, record. The order is what makes an acknowledged
// image survive a power cut: files, then their name, then the reference (docs/formats/store.md).
#include <sys/stat.h>
#include <sys/utsname.h>

#include <cerrno>

#include "archive/unpack_client.h"
#include "base/clock.h"
#include "base/failpoint.h"
#include "base/trace.h"
#include "store/store_state.h"
#include "sys/file.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

constexpr const char* kTree = "fs";

// Go's name of this machine's architecture, as images have it.
std::string architecture() {
  utsname name{};
  uname(&name);
  std::string machine = name.machine;
  if (machine == "x86_64") return "amd64";
  if (machine == "aarch64") return "arm64";
  if (machine == "i686" || machine == "i386") return "386";
  if (machine.starts_with("arm")) return "arm";
  return machine;
}

struct Documents {
  std::string config;
  std::string manifest;
  Digest id;
  Digest manifest_digest;
  int64_t created_ns = 0;
};

Result<Documents> describe(const ImportOptions& options, const archive::Unpacked& layer) {
  oci::ImageConfig config;
  int64_t now = wall_clock_ns();
  config.created = format_rfc3339(now);
  config.architecture = architecture();
  config.config = options.config;
  for (const std::string& change : options.changes)
    TRY_VOID(oci::apply_change(config.config, change));
  config.diff_ids.push_back(layer.diff_id);
  config.history.push_back({config.created, options.created_by, options.message, "", false});
  std::string config_json = oci::to_json(config);
  Digest id = sys::sha256(config_json);
  oci::Manifest manifest{
      oci::kMediaTypeManifest,
      {oci::kMediaTypeConfig, id, static_cast<int64_t>(config_json.size()), {}},
      {{oci::kMediaTypeLayerTar, layer.diff_id, static_cast<int64_t>(layer.tar_size), {}}},
      {}};
  std::string manifest_json = oci::to_json(manifest);
  Digest manifest_digest = sys::sha256(manifest_json);
  return Documents{std::move(config_json), std::move(manifest_json), std::move(id),
                   std::move(manifest_digest), now};
}

// Bad changes are found before gigabytes are read.
Result<void> check_options(const ImportOptions& options) {
  if (options.reference && options.reference->digest())
    return Error(ErrorKind::kInvalidArgument,
                 "cannot import to digest reference '" + options.reference->familiar() + "'");
  oci::ImageRunConfig scratch = options.config;
  for (const std::string& change : options.changes) TRY_VOID(oci::apply_change(scratch, change));
  return {};
}

// Puts the layer in its place unless it is there, within the caller's transaction.
Result<void> place_layer(const Places& places, state::Database& database, Incoming& incoming,
                         const archive::Unpacked& layer, int64_t now) {
  TRY(auto known, state::get_layer(database, layer.diff_id.str()));
  bool there = sys::exists_at(places.layers.get(), layer.diff_id.hex() + "/" + kTree);
  if (known && there) return {};
  // Without a record it is what a dead writer left, without a tree it is damaged: nothing vouches
  // for it.
  if (sys::exists_at(places.layers.get(), layer.diff_id.hex())) {
    TRY(Incoming trash, Incoming::create(places, database));
    TRY_VOID(trash.take_layer(layer.diff_id));
  }
  TRY_VOID(incoming.move_to_layers(layer.diff_id));
  TRY_VOID(failpoint("store.layer.renamed"));
  TRY_VOID(sys::sync_dir(places.layers.get()));
  return state::insert_layer(database, {layer.diff_id.str(), static_cast<int64_t>(layer.files_size),
                                        static_cast<int64_t>(layer.tar_size), now});
}

Result<archive::Unpacked> unpack_into(Incoming& incoming, int tar_fd) {
  TRY(sys::Fd tree, sys::make_dir_at(incoming.directory(), kTree, 0755));
  return archive::run_unpack(tar_fd, tree.get(), incoming.lock_fd());
}

}  // namespace

Result<Image> Store::import_tar(int tar_fd, const ImportOptions& options) {
  TraceScope trace("store.import");
  const std::string context =
      options.source.empty() ? "cannot import" : "cannot import '" + options.source + "'";
  state::Database& database = state_->database;
  const Places& places = state_->places;
  TRY_VOID_CTX(check_options(options), context);
  TRY_VOID_CTX(failpoint("store.import.begin"), context);
  TRY_CTX(Incoming incoming, Incoming::create(places, database), context);
  TRY_CTX(archive::Unpacked layer, unpack_into(incoming, tar_fd), context);
  TRY_VOID_CTX(incoming.list_layers({layer.diff_id}, /*sync=*/false), context);
  TRY_VOID_CTX(failpoint("store.layer.unpacked"), context);
  {
    TraceScope sync_trace("store.sync");
    TRY_VOID_CTX(sys::sync_filesystem(incoming.directory()), context);
  }
  TRY_VOID_CTX(failpoint("store.layer.synced"), context);
  TRY_CTX(Documents documents, describe(options, layer), context);
  {
    TRY_CTX(auto transaction, database.begin(), context);
    TRY_VOID_CTX(place_layer(places, database, incoming, layer, documents.created_ns), context);
    TRY_VOID_CTX(state::insert_image(database,
                                     {documents.id.str(), documents.manifest_digest.str(),
                                      documents.config, documents.manifest, documents.created_ns},
                                     {layer.diff_id.str()}),
                 context);
    if (options.reference)
      TRY_VOID_CTX(state::put_tag(database, tag_key(*options.reference), documents.id.str()),
                   context);
    TRY_VOID_CTX(failpoint("store.image.before"), context);
    TRY_VOID_CTX(transaction.commit(), context);
  }
  TRY_VOID_CTX(failpoint("store.image.after"), context);
  TRY(Image image, find(documents.id.str()));
  image.dropped_xattrs = layer.dropped_xattrs;
  return image;
}

}  // namespace wherry::store
