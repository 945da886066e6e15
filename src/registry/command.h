// wherry-registry's commands: serve, version, help; flags, the set-up of a server, its errors.
#pragma once

#include <string>
#include <vector>

namespace wherry::registry {

// `words`: the arguments without the program's name. The exit code: 0, 1 after a failure, 2 after
// words that are not understood.
int run_main(const std::vector<std::string>& words);

}  // namespace wherry::registry
