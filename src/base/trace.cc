#include "base/trace.h"

#include <unistd.h>

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <ctime>

namespace wherry {
namespace internal {

bool trace_enabled = false;

uint64_t trace_now_ns() {
  timespec now{};
  clock_gettime(CLOCK_MONOTONIC, &now);
  return static_cast<uint64_t>(now.tv_sec) * 1'000'000'000u + static_cast<uint64_t>(now.tv_nsec);
}

// The clock is machine wide, so lines of several processes of one command can be put in order.
void trace_line(std::string_view name, uint64_t begin_ns, uint64_t end_ns) {
  char line[256];
  int length = snprintf(line, sizeof line, "trace %d at %llu.%03llu ms: %.*s took %llu us\n",
                        getpid(), static_cast<unsigned long long>(begin_ns / 1'000'000 % 1'000'000),
                        static_cast<unsigned long long>(begin_ns / 1000 % 1000),
                        static_cast<int>(name.size()), name.data(),
                        static_cast<unsigned long long>((end_ns - begin_ns) / 1000));
  if (length > 0) [[maybe_unused]]
    ssize_t written = write(
        2, line,
        static_cast<size_t>(length) < sizeof line ? static_cast<size_t>(length) : sizeof line - 1);
}

}  // namespace internal

void enable_trace() {
  internal::trace_enabled = true;
}

void enable_trace_from_environment() {
  const char* value = getenv("WHERRY_TRACE");
  if (value != nullptr && strcmp(value, "1") == 0) enable_trace();
}

}  // namespace wherry
