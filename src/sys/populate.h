// Memory that will be used soon, had from the kernel in one call: a page fault for each page costs
// 1 to 3 us in a virtual machine. Only ever a matter of speed.
#pragma once

#include <cstddef>

namespace wherry::sys {

// The next `bytes` that malloc gives out. Call before much else is allocated.
void populate_heap(size_t bytes);

}  // namespace wherry::sys
