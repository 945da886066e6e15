// Defences in a build that users get.
#include "base/weaken.h"

#include <gtest/gtest.h>

namespace wherry {
namespace {

#define X(constant, name)                             \
  static_assert(!weakened(Defence::constant),         \
                "nothing of the other branch may be " \
                "compiled: " name);
WHERRY_DEFENCES(X)
#undef X

TEST(Weaken, AReleaseLeavesOutNothingAndSaysNothing) {
  EXPECT_EQ(weakened_text(), "");
}

}  // namespace
}  // namespace wherry
