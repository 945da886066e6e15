// What removing a tree gives back.
#pragma once

#include <cstdint>
#include <string>

namespace wherry::engine {

// Bytes of the regular files below a trusted path, a hard-linked one in as many parts as it has
// names. What cannot be read does not count.
uint64_t tree_size(const std::string& path);

}  // namespace wherry::engine
