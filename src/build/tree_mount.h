// A stage's root as a directory that this process works in: for COPY, ADD and WORKDIR, and as what
// COPY --from and bind mounts read. A detached overlay: no mount table shows it, and it goes with
// its descriptor.
#pragma once

#include <optional>

#include "store/layer_draft.h"
#include "store/store.h"
#include "sys/fd.h"

namespace wherry::build {

// Changes go into `draft`'s tree. With nothing below it is the draft's tree itself.
Result<sys::Fd> mount_writable(const store::MountPlan& below, const store::LayerDraft& draft);

// A root to read from. What is written to it by mistake is thrown away with `scratch`.
struct ReadableRoot {
  std::optional<store::LayerDraft> scratch;
  sys::Fd root;
};
Result<ReadableRoot> mount_readable(const store::MountPlan& below, store::Store& store);

// Mode and owner of the root directory itself, which the topmost layer shows.
Result<void> inherit_root(const store::MountPlan& below, const store::LayerDraft& draft);

}  // namespace wherry::build
