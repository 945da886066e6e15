// Reads what the kernel and the host are like, for the specification builder.
#pragma once

#include "engine/record.h"
#include "engine/spec_builder.h"

namespace wherry::engine {

// Only what a container with this configuration needs is read.
Result<HostFacts> gather_host_facts(const HostConfig& config);
// Name and processors alone.
HostFacts basic_host_facts();
bool host_has_cgroup_v2();

}  // namespace wherry::engine
