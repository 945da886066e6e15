// The last part of a build: configuration, history, tags, and everything made durable.
#pragma once

#include "build/build_state.h"

namespace wherry::build {

// --build-arg SOURCE_DATE_EPOCH: nanoseconds since 1970 that replace all times of this build's own
// steps. kInvalidArgument: no whole seconds.
Result<std::optional<int64_t>> fixed_time(const BuildState& build);

// The image of the target's stage. Its time, and that of history entries without a layer, is kept
// as a cache record of the configuration, so that the same build again gives the same image.
Result<Digest> export_image(BuildState& build, StageResult stage);

// What was made before a failure goes into the cache. The failure is what the user must hear, so
// errors end here.
void keep_finished_steps(BuildState& build);

}  // namespace wherry::build
