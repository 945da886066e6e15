// The commands on volumes, and their flag tables. Called through commands.cc only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kVolumeCreateFlags, kVolumeListFlags, kVolumeInspectFlags,
    kVolumeRemoveFlags, kVolumePruneFlags;

Result<int> create_volume(Invocation& call);
Result<int> list_volumes(Invocation& call);
Result<int> inspect_volumes(Invocation& call);  // inspect.cc
Result<int> remove_volumes(Invocation& call);
Result<int> prune_volumes(Invocation& call);

}  // namespace wherry::cli
