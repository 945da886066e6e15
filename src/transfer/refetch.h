// Getting again what an image's manifest names and this machine does not keep: the blob of a layer
// that was here already, in another form, when its image was pulled. It comes from where it is
// known to be, is unpacked and compared like any other, and is kept from then on.
#pragma once

#include <string>
#include <vector>

#include "store/store.h"
#include "transfer/layer_fetch.h"

namespace wherry::transfer {

// Repositories ("host:5000/team/app") that are known to have a blob of the image, best first.
Result<std::vector<std::string>> blob_places(store::Store& store, const store::Image& image,
                                             const Digest& blob);

// Layers of the image's manifest whose blob is not kept here; not those that live elsewhere.
Result<std::vector<WantedLayer>> lost_layers(store::Store& store, const store::Image& image);

// All of `lost`, or an error that names the first that cannot be had. Durable on return.
Result<void> refetch(store::Store& store, const store::Image& image,
                     const std::vector<WantedLayer>& lost, const EndpointsOf& endpoints_of,
                     const OnProgress& progress);

}  // namespace wherry::transfer
