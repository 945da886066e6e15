// `--network container:X`: what may be asked for, and what has been found of the other's sandbox.
// How sandboxes are shared: sandbox.cc.
#pragma once

#include <optional>
#include <string>

#include "engine/record.h"
#include "sys/fd.h"

namespace wherry::engine {

// X of "container:X".
std::optional<std::string> joined_container(const std::string& network_mode);
// Neither the host's network nor another container's.
bool has_own_network(const HostConfig& host_config);

// The user's configuration, before it is merged with the image's: what belongs to a sandbox cannot
// be set by one that joins it. Docker's words.
Result<void> check_joined_network(const ContainerConfig& config, const HostConfig& host_config);

struct JoinedSandbox {
  std::string owner;       // container id
  std::string sandbox_id;  // of the sandbox that the owner is in
  sys::Fd network;         // the namespace, held: its owner may end at any moment

  // For other processes, as long as this one lives.
  std::string namespace_path() const;
};

}  // namespace wherry::engine
