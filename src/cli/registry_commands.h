// The commands that speak to registries, and their flag tables. Called through commands.cc; pulling
// a missing image is also for run and create.
#pragma once

#include <string>

#include "cli/command.h"

namespace wherry::cli {

extern const FlagTable kPullFlags, kPushFlags, kLoginFlags;

Result<int> pull_images(Invocation& call);
Result<int> push_images(Invocation& call);
Result<int> log_in(Invocation& call);
Result<int> log_out(Invocation& call);

struct PullView {
  int fd = -1;         // where layers and the outcome are told
  bool quiet = false;  // tell nothing
};
Result<transfer::Pulled> pull_image(engine::Engine& engine, const engine::PullRequest& request,
                                    const PullView& view);

// Docker's config.json with the user's credentials: in $DOCKER_CONFIG, else ~/.docker; empty when
// the environment names neither.
std::string docker_config_path(EnvironmentLookup lookup);

}  // namespace wherry::cli
