// What an image adds to the image below it, and what it shares with any other: for listings, over
// all images at once. Pure.
#pragma once

#include <span>
#include <vector>

#include "base/result.h"
#include "state/images.h"
#include "store/store.h"

namespace wherry::store {

// The layers of an image, bottom first.
using Chain = std::vector<state::LayerRow>;

// Fills in `own_size` and `unique_size` of all images; `chains` has the layers of each, in the same
// order. The image below is the one whose layers are the longest beginning of this one's; of two
// with the same layers the one whose history goes on stands on the other.
Result<void> fill_in_sizes(std::span<Image> images, std::span<const Chain> chains);

}  // namespace wherry::store
