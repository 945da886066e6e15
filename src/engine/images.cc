// Images: what the store does, under the locks and with the facts that containers add.
#include "base/failpoint.h"
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"
#include "oci/image.h"
#include "state/containers.h"

namespace wherry::engine {

Result<store::Image> LocalEngine::import(const ImportRequest& request) {
  TraceScope trace("engine.import");
  TRY(store::Store * images, store());
  TRY_VOID(images->sweep());
  ensure_reserve(fds_.root.get());
  store::ImportOptions options;
  options.reference = request.reference;
  options.changes = request.changes;
  options.message = request.message.empty()
                        ? "Imported from " + (request.source.empty() ? "-" : request.source)
                        : request.message;
  options.source = request.source;
  return images->import_tar(request.tar_fd, options);
}

Result<std::vector<store::Image>> LocalEngine::images() {
  TRY(store::Store * images, store());
  return images->list();
}

Result<store::Image> LocalEngine::image(const std::string& name) {
  TRY(store::Store * images, store());
  return images->find(name);
}

Result<void> LocalEngine::tag(const std::string& source, const std::string& target) {
  TRY(store::Store * images, store());
  TRY(oci::ImageRef reference, oci::ImageRef::parse(target));
  if (reference.digest())
    return Error(ErrorKind::kInvalidArgument, "refusing to create a tag with a digest reference");
  TRY(store::Image image, images->find(source));
  return images->tag(image.id, reference);
}

Result<store::Store::Removed> LocalEngine::remove_image(const std::string& name, bool force) {
  TraceScope trace("engine.rmi");
  TRY_VOID(recover());
  TRY(store::Store * images, store());
  TRY_VOID(images->sweep());
  TRY_VOID(failpoint("engine.rmi.begin"));
  // No container may be made from the image between our look at them and its end.
  TRY(sys::FileLock lock,
      sys::FileLock::acquire(fds_.run.get(), "images.lock", sys::FileLock::Mode::kExclusive));
  TRY(std::vector<state::ContainerRow> rows, state::list_containers(database_));
  std::vector<std::pair<std::string, std::string>> in_use;
  for (const state::ContainerRow& row : rows) in_use.emplace_back(row.image_id, row.id);
  return with_reserve(fds_.root.get(), [&] { return images->remove(name, force, in_use); });
}

Result<std::vector<uint64_t>> LocalEngine::layer_sizes(const store::Image& image) {
  TRY(store::Store * images, store());
  TRY(oci::ImageConfig config, oci::parse_image_config(image.config_json));
  std::vector<uint64_t> sizes;
  for (const Digest& diff_id : config.diff_ids) {
    TRY(uint64_t size, images->layer_size(diff_id));
    sizes.push_back(size);
  }
  return sizes;
}

}  // namespace wherry::engine
