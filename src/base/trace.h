// WHERRY_TRACE=1: scoped timings and debug lines on stderr, "where the milliseconds went".
//
// Allowed on every floor; never changes behaviour. With the variable unset a scope costs one load.
// A line: "trace <pid> <microseconds since process start> <name> <duration us>".
#pragma once

#include <cstdint>
#include <string_view>

namespace wherry {

namespace internal {
extern bool trace_enabled;
uint64_t trace_now_ns();
void trace_line(std::string_view name, uint64_t begin_ns, uint64_t end_ns);
}  // namespace internal

// Reads the environment once. Call first in main.
void enable_trace_from_environment();
// For programs with a fixed environment: switched on by their configuration.
void enable_trace();
inline bool tracing() {
  return internal::trace_enabled;
}

class TraceScope {
 public:
  explicit TraceScope(std::string_view name) : name_(name) {
    if (internal::trace_enabled) [[unlikely]]
      begin_ = internal::trace_now_ns();
  }
  TraceScope(const TraceScope&) = delete;
  TraceScope& operator=(const TraceScope&) = delete;
  ~TraceScope() { end(); }
  // Ends the scope early.
  void end() {
    if (begin_ == 0) return;
    internal::trace_line(name_, begin_, internal::trace_now_ns());
    begin_ = 0;
  }

 private:
  std::string_view name_;
  uint64_t begin_ = 0;
};

}  // namespace wherry
