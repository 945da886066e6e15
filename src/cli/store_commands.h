// The commands that look into the store: what is whole, what goes, what images cost, what is in
// them and how they differ. Called through commands.cc only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kFsckFlags, kGcFlags, kDuFlags, kDiffFlags, kTreeFlags;

Result<int> check_store(Invocation& call);
Result<int> collect_garbage(Invocation& call);
Result<int> show_usage(Invocation& call);
Result<int> show_differences(Invocation& call);
Result<int> show_changes(Invocation& call);
Result<int> show_image_tree(Invocation& call);

}  // namespace wherry::cli
