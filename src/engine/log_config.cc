#include "engine/log_config.h"

#include <algorithm>

#include "base/text.h"

namespace wherry::engine {
namespace {

constexpr uint64_t kMaxFiles = 1000;
constexpr const char* kLaterDrivers[] = {"awslogs",  "etwlogs", "fluentd", "gcplogs", "gelf",
                                         "journald", "local",   "splunk",  "syslog"};
constexpr const char* kLaterOptions[] = {
    "compress", "env", "env-regex", "labels", "labels-regex", "max-buffer-size", "mode", "tag"};

Error refused(ErrorKind kind, std::string message, const char* hint) {
  return Error(kind, std::move(message)).set_hint(hint);
}

Result<void> check_option(const std::string& name, const std::string& value) {
  if (name == "max-size") {
    std::optional<uint64_t> bytes = parse_byte_size(value);
    if (value == "-1" || (bytes && *bytes > 0)) return {};
    return refused(ErrorKind::kInvalidArgument, "invalid log opt 'max-size=" + value + "'",
                   "use a size such as 10m, or -1 for no limit");
  }
  if (name == "max-file") {
    std::optional<uint64_t> count = parse_u64(value);
    if (count && *count >= 1 && *count <= kMaxFiles) return {};
    return refused(ErrorKind::kInvalidArgument, "invalid log opt 'max-file=" + value + "'",
                   "use a number from 1 to 1000");
  }
  if (std::ranges::find(kLaterOptions, name) != std::end(kLaterOptions))
    return refused(ErrorKind::kUnsupported, "log opt '" + name + "' is not supported yet",
                   "use max-size or max-file");
  return refused(ErrorKind::kInvalidArgument,
                 "unknown log opt '" + name + "' for json-file log driver",
                 "use max-size or max-file");
}

std::string option(const LogConfig& log, const char* name) {
  auto found = log.options.find(name);
  return found == log.options.end() ? "" : found->second;
}

}  // namespace

Result<void> check_log_config(const LogConfig& log) {
  if (std::ranges::find(kLaterDrivers, log.driver) != std::end(kLaterDrivers))
    return refused(ErrorKind::kUnsupported, "log driver '" + log.driver + "' is not supported yet",
                   "use json-file or none");
  if (!log.driver.empty() && log.driver != "json-file" && log.driver != "none")
    return refused(ErrorKind::kInvalidArgument,
                   "logger: no log driver named '" + log.driver + "' is registered",
                   "use json-file or none");
  if (log.driver == "none" && !log.options.empty())
    return Error(ErrorKind::kInvalidArgument, "log opt '" + log.options.begin()->first +
                                                  "' has no effect with the log driver none");
  for (const auto& [name, value] : log.options) TRY_VOID(check_option(name, value));
  return {};
}

LogConfig effective_log_config(const LogConfig& wanted, const LogConfig& defaults) {
  LogConfig log = wanted;
  if (log.driver.empty()) log.driver = defaults.driver;
  if (log.driver == "json-file")
    log.options.insert(defaults.options.begin(), defaults.options.end());
  return log;
}

uint64_t log_max_size(const LogConfig& log) {
  return parse_byte_size(option(log, "max-size")).value_or(0);
}

int log_max_files(const LogConfig& log) {
  return static_cast<int>(parse_u64(option(log, "max-file")).value_or(1));
}

}  // namespace wherry::engine
