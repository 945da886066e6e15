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
  char* begin = static_cast<char*>(malloc(kDefaultPad));
  mallopt(M_TOP_PAD, kDefaultPad);
  if (begin == nullptr) return;
  char* from = begin + (kPage - reinterpret_cast<uintptr_t>(begin) % kPage) % kPage;
  const char* end = static_cast<char*>(sbrk(0));
  // Where it lies behind the heap (a sanitizer's malloc) there is nothing to do.
  if (from < end)
    madvise(from, std::min(bytes, static_cast<size_t>(end - from)), MADV_POPULATE_WRITE);
  free(begin);
}

}  // namespace wherry::sys
