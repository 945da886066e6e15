// Wall-clock times as RFC 3339 with nanoseconds in UTC, as Docker writes them; and Go durations.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

namespace wherry {

// Nanoseconds since the epoch, UTC.
int64_t wall_clock_ns();
// Nanoseconds of CLOCK_MONOTONIC.
int64_t monotonic_ns();

// "2026-11-23T01:31:00.123456789Z". Trailing zeros of the fraction are cut as Go's RFC3339Nano
// does.
std::string format_rfc3339(int64_t unix_ns);
// Always nine digits of fraction, for log files.
std::string format_rfc3339_fixed(int64_t unix_ns);
// The inverse, offsets accepted; nullopt when malformed.
std::optional<int64_t> parse_rfc3339(std::string_view text);
// Docker's zero time "0001-01-01T00:00:00Z".
inline constexpr const char* kZeroTime = "0001-01-01T00:00:00Z";

// Go durations ("1h30m", "100ms", "-5s") in nanoseconds; nullopt when malformed.
std::optional<int64_t> parse_go_duration(std::string_view text);
// What --since, --until and the filter until= take: RFC 3339 (also without zone, seconds or time:
// local), Unix seconds with a fraction, or a Go duration before `now_ns`.
std::optional<int64_t> parse_time_bound(std::string_view text, int64_t now_ns);
// Docker's human words: "Less than a second", "4 seconds", "About a minute", ..., "2 years".
std::string human_duration(int64_t ns);

}  // namespace wherry
