#include "base/clock.h"

#include <chrono>
#include <cmath>
#include <cstdio>
#include <ctime>

#include "base/text.h"

namespace wherry {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

int64_t read_clock(clockid_t id) {
  timespec now{};
  clock_gettime(id, &now);
  return now.tv_sec * kSecond + now.tv_nsec;
}

std::string format(int64_t unix_ns, bool fixed) {
  time_t seconds = unix_ns / kSecond;
  int64_t nanos = unix_ns % kSecond;
  if (nanos < 0) {
    nanos += kSecond;
    --seconds;
  }
  // Not gmtime_r, which reads /etc/localtime first.
  std::chrono::sys_seconds moment{std::chrono::seconds(seconds)};
  auto midnight = std::chrono::floor<std::chrono::days>(moment);
  std::chrono::year_month_day date(midnight);
  std::chrono::hh_mm_ss time(moment - midnight);
  char text[64];
  int length = snprintf(text, sizeof text, "%04d-%02u-%02uT%02d:%02d:%02d.%09lld",
                        static_cast<int>(date.year()), static_cast<unsigned>(date.month()),
                        static_cast<unsigned>(date.day()), static_cast<int>(time.hours().count()),
                        static_cast<int>(time.minutes().count()),
                        static_cast<int>(time.seconds().count()), static_cast<long long>(nanos));
  std::string formatted(text, static_cast<size_t>(length));
  if (!fixed) {
    while (formatted.back() == '0') formatted.pop_back();
    if (formatted.back() == '.') formatted.pop_back();
  }
  return formatted + "Z";
}

// Reads exactly `count` digits at `at`, moving it on.
bool digits(std::string_view text, size_t& at, size_t count, int& value) {
  if (at + count > text.size()) return false;
  value = 0;
  for (size_t i = 0; i < count; ++i, ++at) {
    if (text[at] < '0' || text[at] > '9') return false;
    value = value * 10 + (text[at] - '0');
  }
  return true;
}

bool literal(std::string_view text, size_t& at, char c) {
  if (at >= text.size() || text[at] != c) return false;
  ++at;
  return true;
}

std::optional<int64_t> parse_unix_time(std::string_view text) {
  auto [seconds_text, fraction] = split_once(text, '.');
  auto seconds = parse_i64(seconds_text);
  if (!seconds || *seconds > INT64_MAX / kSecond - 1 || *seconds < INT64_MIN / kSecond + 1)
    return std::nullopt;
  int64_t nanos = 0;
  if (fraction) {
    if (fraction->empty() || fraction->size() > 9) return std::nullopt;
    auto digits = parse_u64(*fraction);
    if (!digits) return std::nullopt;
    nanos = static_cast<int64_t>(*digits);
    for (size_t i = fraction->size(); i < 9; ++i) nanos *= 10;
  }
  return *seconds * kSecond + (*seconds < 0 ? -nanos : nanos);
}

std::optional<int64_t> parse_local_time(const std::string& text) {
  for (const char* form : {"%Y-%m-%dT%H:%M:%S", "%Y-%m-%dT%H:%M", "%Y-%m-%dT%H", "%Y-%m-%d"}) {
    tm parts{};
    parts.tm_isdst = -1;
    const char* end = strptime(text.c_str(), form, &parts);
    if (end == nullptr || *end != '\0') continue;
    time_t seconds = mktime(&parts);
    if (seconds == -1) return std::nullopt;
    return static_cast<int64_t>(seconds) * kSecond;
  }
  return std::nullopt;
}

}  // namespace

int64_t wall_clock_ns() {
  return read_clock(CLOCK_REALTIME);
}
int64_t monotonic_ns() {
  return read_clock(CLOCK_MONOTONIC);
}

std::string format_rfc3339(int64_t unix_ns) {
  return format(unix_ns, false);
}
std::string format_rfc3339_fixed(int64_t unix_ns) {
  return format(unix_ns, true);
}

std::optional<int64_t> parse_rfc3339(std::string_view text) {
  size_t at = 0;
  tm parts{};
  int year = 0;
  int month = 0;
  if (!digits(text, at, 4, year) || !literal(text, at, '-') || !digits(text, at, 2, month) ||
      !literal(text, at, '-') || !digits(text, at, 2, parts.tm_mday) || !literal(text, at, 'T') ||
      !digits(text, at, 2, parts.tm_hour) || !literal(text, at, ':') ||
      !digits(text, at, 2, parts.tm_min) || !literal(text, at, ':') ||
      !digits(text, at, 2, parts.tm_sec))
    return std::nullopt;
  if (month < 1 || month > 12 || parts.tm_mday < 1 || parts.tm_mday > 31 || parts.tm_hour > 23 ||
      parts.tm_min > 59 || parts.tm_sec > 60)
    return std::nullopt;
  int64_t nanos = 0;
  if (at < text.size() && text[at] == '.') {
    int64_t unit = kSecond / 10;
    size_t begin = ++at;
    for (; at < text.size() && text[at] >= '0' && text[at] <= '9'; ++at, unit /= 10)
      nanos += (text[at] - '0') * unit;
    if (at == begin) return std::nullopt;
  }
  int64_t offset = 0;
  if (at >= text.size()) return std::nullopt;
  if (text[at] == 'Z' || text[at] == 'z') {
    ++at;
  } else {
    int sign = text[at] == '+' ? 1 : text[at] == '-' ? -1 : 0;
    ++at;
    int hours = 0;
    int minutes = 0;
    if (sign == 0 || !digits(text, at, 2, hours) || !literal(text, at, ':') ||
        !digits(text, at, 2, minutes))
      return std::nullopt;
    offset = sign * (hours * 3600 + minutes * 60);
  }
  if (at != text.size()) return std::nullopt;
  // A day that the month does not have belongs to the next one, as timegm(3) has it.
  std::chrono::sys_days first = std::chrono::year(year) / month / 1;
  int64_t seconds = (first.time_since_epoch().count() + parts.tm_mday - 1) * int64_t{86400} +
                    parts.tm_hour * 3600 + parts.tm_min * 60 + parts.tm_sec - offset;
  if (seconds > 9'223'372'035 || seconds < -9'223'372'035) return std::nullopt;
  return seconds * kSecond + nanos;
}

std::optional<int64_t> parse_go_duration(std::string_view text) {
  bool negative = false;
  if (!text.empty() && (text[0] == '-' || text[0] == '+')) {
    negative = text[0] == '-';
    text.remove_prefix(1);
  }
  if (text == "0") return 0;
  if (text.empty()) return std::nullopt;
  double total = 0;
  while (!text.empty()) {
    size_t length = 0;
    while (length < text.size() &&
           ((text[length] >= '0' && text[length] <= '9') || text[length] == '.'))
      ++length;
    if (length == 0 || length > 30) return std::nullopt;
    double value = 0;
    int consumed = 0;
    std::string number(text.substr(0, length));
    if (sscanf(number.c_str(), "%lf%n", &value, &consumed) != 1 ||
        consumed != static_cast<int>(length))
      return std::nullopt;
    text.remove_prefix(length);
    struct Unit {
      std::string_view name;
      double ns;
    };
    constexpr Unit kUnits[] = {{"ns", 1},     {"us", 1e3}, {"µs", 1e3}, {"ms", 1e6},
                               {"h", 3600e9}, {"m", 60e9}, {"s", 1e9}};
    bool found = false;
    for (const Unit& unit : kUnits) {
      if (!text.starts_with(unit.name)) continue;
      total += value * unit.ns;
      text.remove_prefix(unit.name.size());
      found = true;
      break;
    }
    if (!found || !(total < 9.2e18)) return std::nullopt;
  }
  return static_cast<int64_t>(negative ? -total : total);
}

std::string human_duration(int64_t ns) {
  int64_t seconds = ns / kSecond;
  auto plural = [](int64_t n, const char* unit) {
    return std::to_string(n) + " " + unit + (n == 1 ? "" : "s");
  };
  if (seconds < 1) return "Less than a second";
  if (seconds == 1) return "1 second";
  if (seconds < 60) return plural(seconds, "second");
  int64_t minutes = seconds / 60;
  if (minutes == 1) return "About a minute";
  if (minutes < 60) return plural(minutes, "minute");
  int64_t hours = (minutes + 30) / 60;
  if (hours == 1) return "About an hour";
  if (hours < 48) return plural(hours, "hour");
  if (hours < 24 * 7 * 2) return plural(hours / 24, "day");
  if (hours < 24 * 30 * 2) return plural(hours / 24 / 7, "week");
  if (hours < 24 * 365 * 2) return plural(hours / 24 / 30, "month");
  return plural(hours / 24 / 365, "year");
}

std::optional<int64_t> parse_time_bound(std::string_view text, int64_t now_ns) {
  if (auto time = parse_rfc3339(text)) return time;
  if (auto time = parse_unix_time(text)) return time;
  if (auto ago = parse_go_duration(text)) return now_ns - *ago;
  return parse_local_time(std::string(text));
}

}  // namespace wherry
