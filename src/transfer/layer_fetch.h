// Layers on their way in: each from the registry through a pipe into a confined wherry-unpack,
// several at once, one loop over all of them.
//
// A layer counts only when three agree: the helper that downloads (size and digest of what it
// wrote), the helper that unpacks (digest of what it read), and the image's configuration (digest
// of the tar inside). After an error nothing is left: transfers are ended, helpers reaped, drafts
// removed.
#pragma once

#include <vector>

#include "oci/image.h"
#include "store/store.h"
#include "transfer/image_transfer.h"

namespace wherry::transfer {

struct WantedLayer {
  Digest diff_id;
  oci::Descriptor blob;
};

// Finished drafts in the order of `layers`. `remote` is spent when this fails.
Result<std::vector<store::LayerDraft>> fetch_layers(Remote& remote, store::Store& store,
                                                    const std::vector<WantedLayer>& layers,
                                                    int parallel, const OnProgress& progress);

}  // namespace wherry::transfer
