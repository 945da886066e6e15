// Digests of what was selected: remembered ones where a file is as it was, new ones elsewhere.
#pragma once

#include "build/copy.h"
#include "build/walk.h"

namespace wherry::build {

// Fills in `content` and `xattrs` of all files and directories of the selection. A file that is
// written to while it is read is read again, a few times, then it is kConflict. `chmod`: what the
// entries were described with.
Result<void> fill_digests(Selection& selection, const std::optional<ModeChange>& chmod,
                          state::Database* database);

}  // namespace wherry::build
