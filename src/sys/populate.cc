#include "sys/populate.h"

#include <malloc.h>
#include <sys/mman.h>
#include <unistd.h>

#include <algorithm>
#include <cstdint>
#include <cstdlib>

namespace wherry::sys {
namespace {

constexpr int kDefaultPad = 128 << 10;
constexpr int kMapThreshold = 1 << 20;
constexpr int kTrimThreshold = 4 << 20;
constexpr uintptr_t kPage = 4096;

}  // namespace

void populate_heap(size_t bytes) {
  // Any of these ends malloc's own adjustment of the others.
  mallopt(M_MMAP_THRESHOLD, kMapThreshold);
  mallopt(M_TRIM_THRESHOLD, kTrimThreshold);
  mallopt(M_TOP_PAD, static_cast<int>(bytes));
  void* begin = malloc(kDefaultPad);
  mallopt(M_TOP_PAD, kDefaultPad);
  // Where it lies behind the heap (a sanitizer's malloc) there is nothing to do.
  const auto from = (reinterpret_cast<uintptr_t>(begin) + kPage - 1) & ~(kPage - 1);
  const auto end = reinterpret_cast<uintptr_t>(sbrk(0));
  free(begin);
  if (from < end)
    madvise(reinterpret_cast<void*>(from), std::min<size_t>(bytes, end - from),
            MADV_POPULATE_WRITE);
}

}  // namespace wherry::sys
