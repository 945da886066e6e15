// The plan of a bootstrap: which suite, and mmdebstrap's arguments. Pure.
#pragma once

#include <string>
#include <vector>

#include "engine/apt_sources.h"
#include "engine/engine.h"

namespace wherry::engine {

// "debian:bookworm" -> "bookworm"; version numbers 10 to 14 become their names. Another
// distribution is kUnsupported.
Result<std::string> bootstrap_suite(const std::string& distribution);

// `host_sources`: of a Debian host, empty elsewhere. A mirror given by the user wins.
Result<std::vector<std::string>> mmdebstrap_arguments(const BootstrapRequest& request,
                                                      const std::string& suite,
                                                      const std::vector<AptSource>& host_sources);

}  // namespace wherry::engine
