#include "engine/sandbox.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

TEST(Sandbox, IsItsOwnUnlessTheHostsOrAnothersIsNamed) {
  for (const char* mode : {"", "default", "bridge", "none"})
    EXPECT_TRUE(has_own_network({.network_mode = mode})) << mode;
  for (const char* mode : {"host", "container:", "container:web"})
    EXPECT_FALSE(has_own_network({.network_mode = mode})) << mode;
}

}  // namespace
}  // namespace wherry::engine
