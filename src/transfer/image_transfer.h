// Pull and push of whole images: from a registry into the store, and back.
//
// A pull fetches only layers that the store lacks, several at once, each straight from the helper
// that downloads into the helper that unpacks; digests and sizes are checked while bytes stream,
// and the image is committed whole or not at all. A push sends config and manifest byte for byte
// and of the layers only those that the registry has not and cannot mount.
#pragma once

#include <cstdint>
#include <functional>
#include <string>
#include <vector>

#include "oci/reference.h"
#include "store/store.h"
#include "transfer/remote.h"

namespace wherry::transfer {

// What a front end may show; ids are the first 12 digits of a layer's digest.
struct LayerProgress {
  std::string id;
  enum class Phase {
    kPreparing,
    kWaiting,
    kDownloading,
    kPullComplete,
    kExists,  // "Already exists" (pull), "Layer already exists" (push)
    kPacking,
    kPushing,
    kPushed,
    kMounted,  // from `detail`, a repository
  } phase = Phase::kWaiting;
  uint64_t bytes = 0, total = 0;
  std::string detail;
};
using OnProgress = std::function<void(const LayerProgress&)>;

struct PullOptions {
  std::string platform;  // "os/arch[/variant]"; empty: this machine's
  int parallel = 3;      // max-concurrent-downloads
  OnProgress progress;
};
struct Pulled {
  store::Image image;
  Digest digest;           // of what the tag names: an index or a manifest
  bool new_image = false;  // false: "Image is up to date"
};
// `endpoints`: mirrors first, the registry last; the next is tried when one is kUnavailable or has
// it not. The image gets the reference's tag. Docker's words: "manifest for x not found: ...",
// "pull access denied for x, ...", "failed to resolve reference 'x': ...". Failpoints:
// transfer.pull.resolved, .config, .layer, .layers, .recorded.
Result<Pulled> pull(store::Store& store, const oci::ImageRef& reference,
                    const std::vector<Endpoint>& endpoints, const PullOptions& options);

// The ways to a registry ("docker.io", "host:5000"), with the user's credentials.
using EndpointsOf = std::function<Result<std::vector<Endpoint>>(const std::string& domain)>;

struct PushOptions {
  int parallel = 5;  // max-concurrent-uploads
  OnProgress progress;
  EndpointsOf endpoints_of;  // of registries that blobs have to be fetched from again
  // A pulled image whose exact blobs cannot be had goes with a manifest of ours.
  bool recompress = false;
};
struct Pushed {
  Digest digest;
  uint64_t size = 0;          // of the manifest
  bool recompressed = false;  // it is not the one that the image came with
};
// `endpoints`: ways to the one registry; the next is tried when one cannot be reached. Of layers
// that it has not it is first asked to mount them from where they are known to be; what is then
// missing and not kept here is fetched again (transfer/refetch.h). Failpoints:
// transfer.push.prepared, .checked, .layer, .layers, .config, .manifest.
Result<Pushed> push(store::Store& store, const store::Image& image, const oci::ImageRef& reference,
                    const std::vector<Endpoint>& endpoints, const PushOptions& options);

// The tags of a repository, as the registry lists them.
Result<std::vector<std::string>> list_tags(const oci::ImageRef& reference,
                                           const std::vector<Endpoint>& endpoints);
// Asks the registry whether it takes the endpoints' credentials: the identity token that it gives
// in exchange, or "". kPermissionDenied: it does not.
Result<std::string> check_login(const std::vector<Endpoint>& endpoints);

}  // namespace wherry::transfer
