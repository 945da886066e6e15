// logs: the flags, and where each record goes.
#include <fmt/format.h>
#include <sys/time.h>
#include <unistd.h>

#include <csignal>

#include "base/clock.h"
#include "base/text.h"
#include "cli/container_commands.h"
#include "cli/log_reader.h"
#include "cli/output.h"
#include "sys/fd.h"

namespace wherry::cli {
namespace {

constexpr auto kString = FlagKind::kString;

constexpr Flag kLogs[] = {
    {"follow", 'f', FlagKind::kBool, "Go on with what is written from now on"},
    {"since", 0, kString, "Only from this time on: 2026-01-31T10:00:00Z, Unix seconds, or 10m"},
    {"tail", 'n', kString, "Only so many lines from the end", "all"},
    {"timestamps", 't', FlagKind::kBool, "Begin each line with its time"},
    {"until", 0, kString, "Only before this time"},
};
constexpr RefusedFlag kLogsLater[] = {{"details"}};

struct LogOptions {
  bool follow = false;
  bool timestamps = false;
  std::optional<uint64_t> tail;
  std::optional<int64_t> since, until;
};

Result<std::optional<int64_t>> time_option(const ParsedFlags& flags, std::string_view name) {
  std::string text = flags.text(name);
  if (text.empty()) return std::nullopt;
  auto time = parse_time_bound(text, wall_clock_ns());
  if (!time)
    return Error(ErrorKind::kInvalidArgument,
                 fmt::format("invalid value for \"{}\": '{}'", name, text))
        .set_hint("use RFC 3339, Unix seconds, or a duration such as 10m");
  return time;
}

Result<LogOptions> log_options(const ParsedFlags& flags) {
  LogOptions options;
  options.follow = flags.boolean("follow");
  options.timestamps = flags.boolean("timestamps");
  TRY(options.since, time_option(flags, "since"));
  TRY(options.until, time_option(flags, "until"));
  std::string tail = flags.text("tail");
  if (tail == "all" || tail.empty()) return options;
  auto count = parse_i64(tail);
  if (!count)
    return Error(ErrorKind::kInvalidArgument, fmt::format("invalid value for \"tail\": '{}'", tail))
        .set_hint("use a number of lines, or all");
  if (*count >= 0) options.tail = static_cast<uint64_t>(*count);  // negative: all, as in Docker
  return options;
}

// Collects a block for each stream and writes it whole; the order between streams is kept.
class LogPrinter {
 public:
  explicit LogPrinter(const LogOptions& options) : options_(options) {}

  // `past_until`: nothing that comes later can be wanted.
  Result<void> add(const LogRecord& record) {
    bool begins = starts_.begins(record);
    if (options_.since && record.time_ns < *options_.since) return {};
    if (options_.until && record.time_ns >= *options_.until) {
      past_until = true;
      return {};
    }
    if (record.stream != stream_ || held_.size() > kFlushAt) TRY_VOID(flush());
    stream_ = record.stream;
    if (options_.timestamps && begins) held_ += format_rfc3339_fixed(record.time_ns) + " ";
    held_ += record.text;
    return {};
  }

  Result<void> flush() {
    std::string text = std::exchange(held_, {});
    return sys::write_all(stream_ == 2 ? STDERR_FILENO : STDOUT_FILENO, text);
  }

  bool past_until = false;

 private:
  static constexpr size_t kFlushAt = 65536;
  const LogOptions& options_;
  MessageStarts starts_;
  int stream_ = 1;
  std::string held_;
};

// With -f and an --until in the future the end must come by itself: nothing is held back between
// two waits, so the alarm may end the process at once.
void end_at(int64_t until_ns) {
  int64_t left = std::max<int64_t>(1000, (until_ns - wall_clock_ns()) / 1000);
  std::signal(SIGALRM, [](int) { _exit(0); });
  itimerval timer{};
  timer.it_value = {left / 1'000'000, left % 1'000'000};
  setitimer(ITIMER_REAL, &timer, nullptr);
}

Result<void> pump(LogReader& reader, LogPrinter& printer) {
  TRY_VOID(reader.read_available([&](const LogRecord& record) { return printer.add(record); }));
  return printer.flush();
}

}  // namespace

constinit const FlagTable kLogsFlags{kLogs, kLogsLater};

Result<int> show_logs(Invocation& call) {
  TRY(LogOptions options, log_options(call.flags));
  const std::string& name = call.arguments()[0];
  TRY(engine::Engine * engine, call.context.engine());
  TRY(engine::Engine::LogFile log, engine->log(name, options.follow));
  if (log.path.empty())
    return Error(
        ErrorKind::kUnsupported,
        fmt::format("'{}' has no log: configured logging driver does not support reading", name));
  TRY(LogReader reader, LogReader::open(log.path, options.tail));
  LogPrinter printer(options);
  TRY_VOID(pump(reader, printer));
  if (options.follow && options.until) end_at(*options.until);
  while (options.follow && log.wait_for_growth && !printer.past_until) {
    TRY(bool grown, log.wait_for_growth());
    TRY_VOID(pump(reader, printer));
    if (!grown) break;
  }
  std::vector<std::string> warnings;
  if (reader.damaged() > 0)
    warnings.push_back(fmt::format("skipped {} damaged line{} in the log of '{}'", reader.damaged(),
                                   reader.damaged() == 1 ? "" : "s", name));
  if (reader.lost())
    warnings.push_back(
        fmt::format("the log of '{}' was rotated faster than it could be read", name));
  call.context.warn(warnings);
  return 0;
}

}  // namespace wherry::cli
