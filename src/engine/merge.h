// What a container's configuration becomes when the user's is laid over the image's. Pure.
//
// Docker's rules (reference cli-and-api.md 1.2): a user's entrypoint drops the image's command;
// user variables and labels win by key; volumes and exposed ports are the union. An environment
// entry without
// "=" takes the variable away.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "engine/record.h"
#include "oci/image.h"

namespace wherry::engine {

ContainerConfig merge_config(ContainerConfig user, const oci::ImageRunConfig& image);

// entrypoint + cmd; kInvalidArgument "no command specified" when both are empty.
Result<std::vector<std::string>> command_line(const ContainerConfig& config);

// `additions` over `base` by variable name: the place of an overridden variable is kept, new ones
// follow, an addition without "=" removes.
std::vector<std::string> override_environment(std::vector<std::string> base,
                                              const std::vector<std::string>& additions);

}  // namespace wherry::engine
