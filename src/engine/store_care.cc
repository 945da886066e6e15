// Looking after the store: what fsck, gc, du, diff and image tree ask of it.
#include "base/trace.h"
#include "engine/local_engine.h"
#include "engine/reserve.h"

namespace wherry::engine {

Result<store::FsckReport> LocalEngine::fsck(const store::FsckOptions& options) {
  TRY(store::Store * images, store());
  return images->fsck(options);
}

Result<store::Collected> LocalEngine::collect(const store::CollectOptions& options) {
  TRY_VOID(recover());
  TRY(store::Store * images, store());
  return with_reserve(fds_.root.get(), [&] { return images->collect(options); });
}

Result<std::vector<store::ImageUsage>> LocalEngine::image_usage() {
  TRY(store::Store * images, store());
  return images->usage();
}

Result<std::string> LocalEngine::tree_digest(const store::Image& image) {
  TRY(store::Store * images, store());
  return images->tree_digest(image);
}

Result<void> LocalEngine::differences(
    const store::Image& before, const store::Image& after,
    const std::function<Result<void>(const tree::Difference&)>& sink) {
  TRY(store::Store * images, store());
  return images->differences(before, after, sink);
}

Result<void> LocalEngine::walk_image(const store::Image& image,
                                     const std::function<Result<void>(const tree::Entry&)>& sink) {
  TRY(store::Store * images, store());
  return images->walk(image, sink);
}

}  // namespace wherry::engine
