#include "store/store.h"

#include <algorithm>
#include <cerrno>

#include "base/failpoint.h"
#include "base/text.h"
#include "base/trace.h"
#include "state/images.h"
#include "store/image_sizes.h"
#include "store/layer_folder.h"
#include "store/look.h"
#include "store/objects.h"
#include "store/store_state.h"
#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr const char* kBlobs = "blobs/sha256";

// A directory below the root, made when missing; `path` may have several components.
Result<sys::Fd> open_place(const std::string& root, const std::string& path) {
  Result<sys::Fd> opened = sys::open_file(root + "/" + path, O_RDONLY | O_DIRECTORY);
  if (opened || opened.error().errnum() != ENOENT) return opened;
  TRY(sys::Fd directory, sys::make_dirs(root, 0700));
  for (std::string_view name : split(path, '/')) {
    TRY(sys::Fd made, sys::make_dir_at(directory.get(), std::string(name), 0700));
    TRY_VOID(sys::sync_dir(directory.get()));
    directory = std::move(made);
  }
  return directory;
}

// <root>/format: the number of the format, one line. A root without it must be new.
constexpr int kFormat = 2;
constexpr const char* kFormatFile = "format";

Result<void> check_format(const std::string& root, int layers) {
  Result<std::string> text = sys::read_file(root + "/" + kFormatFile, 64);
  if (text && trim(*text) == std::to_string(kFormat)) return {};
  if (text)
    return Error(ErrorKind::kUnsupported, "'" + root + "' has the store format '" +
                                              std::string(trim(*text)) + "', this program knows " +
                                              std::to_string(kFormat))
        .set_hint("use the wherry that made it, or another --root");
  if (text.error().errnum() != ENOENT) return std::move(text.error());
  TRY(std::vector<std::string> old, sys::list_dir(layers));
  if (!old.empty())
    return Error(ErrorKind::kUnsupported,
                 "'" + root + "' holds layer directories of an early wherry")
        .set_hint("remove it, or use another --root, and pull or build the images again");
  TRY(sys::Fd folder, sys::open_file(root, O_RDONLY | O_DIRECTORY));
  return sys::write_new_file(folder.get(), kFormatFile, std::to_string(kFormat) + "\n", 0600);
}

}  // namespace

Result<Image> image_of(state::Database& database, state::ImageRow row) {
  TRY_CTX(Digest id, Digest::parse(row.id), "damaged state");
  TRY_CTX(Digest manifest, Digest::parse(row.manifest_digest), "damaged state");
  Image image{.id = std::move(id),
              .manifest = std::move(manifest),
              .config_json = std::move(row.config),
              .manifest_json = std::move(row.manifest),
              .created_ns = row.created_ns,
              .made_here = row.made_here};
  TRY(image.tags, state::tags_of(database, row.id));
  TRY(std::vector<state::ImageSourceRow> sources, state::image_sources(database, row.id));
  for (const state::ImageSourceRow& source : sources)
    image.repo_digests.push_back(source.repository + "@" + source.digest);
  TRY(Chain layers, state::layers_of(database, row.id));
  for (const state::LayerRow& layer : layers) image.size += static_cast<uint64_t>(layer.size);
  return image;
}

std::string tag_key(const oci::ImageRef& reference) {
  return reference.repository() + ":" + reference.tag().value_or("latest");
}

Result<sys::Fd> open_layer(const Places& places, const Digest& diff_id) {
  Result<sys::Fd> folder =
      sys::open_at(places.layers.get(), diff_id.hex(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW);
  if (!folder && folder.error().errnum() == ENOENT)
    return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
  return folder;
}

bool is_whole(const Places& places, const Digest& diff_id) {
  Result<sys::Fd> folder = open_layer(places, diff_id);
  return folder && prove_layer(places, diff_id, folder->get()).has_value();
}

Result<Rung> Store::State::rung() {
  if (chosen_rung) return *chosen_rung;
  TRY(chosen_rung, choose_rung(places, database, options.run_root, options.rung));
  return *chosen_rung;
}

Result<std::shared_ptr<sys::FileLock>> Store::State::hold_objects() {
  if (std::shared_ptr<sys::FileLock> held = objects_lock.lock()) return held;
  TRY(sys::Fd root, sys::open_file(places.root, O_RDONLY | O_DIRECTORY));
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(root.get(), kObjectsLock, sys::FileLock::Mode::kShared));
  auto held = std::make_shared<sys::FileLock>(std::move(lock));
  objects_lock = held;
  return held;
}

Store::Store(std::unique_ptr<State> state) : state_(std::move(state)) {}
Store::Store(Store&&) noexcept = default;
Store::~Store() = default;

Result<Store> Store::open(state::Database& database, const std::string& root,
                          const StoreOptions& options) {
  const std::string context = "cannot open the store";
  Places places;
  places.root = root;
  TRY_CTX(places.layers, open_place(root, kLayers), context);
  TRY_VOID_CTX(check_format(root, places.layers.get()), context);
  TRY_CTX(places.incoming, open_place(root, kIncoming), context);
  TRY_CTX(places.blobs, open_place(root, kBlobs), context);
  TRY_CTX(places.trees, open_place(root, kTrees), context);
  TRY_CTX(places.objects, open_objects(root), context);
  return Store(std::make_unique<State>(database, std::move(places), options));
}

Result<Image> Store::find(std::string_view name_or_id, std::string_view platform) {
  TRY(FoundImage found, find_image(state_->database, name_or_id, platform));
  return image_of(state_->database, std::move(found.row));
}

Result<std::vector<Image>> Store::list() {
  TRY(std::vector<state::ImageRow> rows, state::list_images(state_->database));
  std::vector<Image> images;
  std::vector<Chain> chains;
  for (state::ImageRow& row : rows) {
    TRY(Chain chain, state::layers_of(state_->database, row.id));
    chains.push_back(std::move(chain));
    TRY(Image image, image_of(state_->database, std::move(row)));
    images.push_back(std::move(image));
  }
  TRY_VOID(fill_in_sizes(images, chains));
  return images;
}

Result<bool> Store::has_image(const Digest& id) {
  TRY(auto row, state::get_image(state_->database, id.str()));
  return row.has_value();
}

Result<void> Store::tag(const Digest& image, const oci::ImageRef& reference) {
  if (reference.digest())
    return Error(ErrorKind::kInvalidArgument,
                 "cannot tag '" + reference.familiar() +
                     "': a reference with a digest names an image already");
  TRY(auto transaction, state_->database.begin());
  TRY(auto row, state::get_image(state_->database, image.str()));
  if (!row) return Error(ErrorKind::kNotFound, "no such image: " + image.str());
  TRY_VOID(set_tag(state_->database, tag_key(reference), *row));
  return transaction.commit();
}

Result<bool> Store::has_layer(const Digest& diff_id) {
  TRY(auto row, state::get_layer(state_->database, diff_id.str()));
  return row && is_whole(state_->places, diff_id);
}

Result<void> Store::check_layer(const Digest& diff_id) {
  TRY(auto row, state::get_layer(state_->database, diff_id.str()));
  if (!row) return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
  Result<sys::Fd> folder = open_layer(state_->places, diff_id);
  Result<void> whole = folder ? look_at_layer(*state_, diff_id, folder->get())
                              : Result<void>(std::move(folder.error()));
  if (whole) return {};
  const Error& error = whole.error();
  if (error.kind() != ErrorKind::kCorrupt && error.kind() != ErrorKind::kNotFound) return error;
  return Error(ErrorKind::kCorrupt, "layer '" + diff_id.str() + "' is damaged: " + error.message())
      .set_hint("load, pull or import the image again");
}

Result<uint64_t> Store::layer_size(const Digest& diff_id) {
  TRY(auto row, state::get_layer(state_->database, diff_id.str()));
  if (!row) return Error(ErrorKind::kNotFound, "no such layer: " + diff_id.str());
  return static_cast<uint64_t>(row->size);
}

Result<Rung> Store::rung() {
  return state_->rung();
}

Result<void> Store::sweep() {
  TraceScope trace("store.sweep");
  return sweep_incoming(state_->places, state_->database);
}

}  // namespace wherry::store
