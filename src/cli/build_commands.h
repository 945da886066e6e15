// build, builder prune and system prune, and their flag tables. Called through commands.cc only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kBuildFlags, kBuilderPruneFlags, kSystemPruneFlags;

Result<int> build_image(Invocation& call);
Result<int> prune_build_cache(Invocation& call);
Result<int> prune_system(Invocation& call);

}  // namespace wherry::cli
