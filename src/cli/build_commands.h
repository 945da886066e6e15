// build and builder prune, and their flag tables. Called through commands.cc only.
#pragma once

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kBuildFlags, kBuilderPruneFlags;

Result<int> build_image(Invocation& call);
Result<int> prune_build_cache(Invocation& call);

}  // namespace wherry::cli
