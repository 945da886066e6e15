// How large layers may be: entries of one layer as far as it is accepted unless the user says
// otherwise, and as far as it is possible. Memory follows neither.
#pragma once

#include <cstdint>

namespace wherry::store {

inline constexpr uint64_t kDefaultLayerEntries = 1'000'000;
inline constexpr uint64_t kMaxLayerEntries = 10'000'000;

}  // namespace wherry::store
