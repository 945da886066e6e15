#include "ocicli/log.h"

#include <fmt/format.h>

#include "base/clock.h"

namespace wherry::ocicli {
namespace {

std::string_view level_word(Level level) {
  switch (level) {
    case Level::kError:
      return "error";
    case Level::kWarning:
      return "warning";
    case Level::kInfo:
      return "info";
    case Level::kDebug:
      return "debug";
  }
  return "error";
}

// A JSON string, which is also how logfmt quotes. Bytes that are not UTF-8 become '?': a reader
// must be able to take every line.
std::string quoted(std::string_view text) {
  std::string out = "\"";
  for (size_t i = 0; i < text.size(); ++i) {
    auto c = static_cast<unsigned char>(text[i]);
    if (c == '"' || c == '\\') {
      out += '\\';
      out += text[i];
    } else if (c == '\n') {
      out += "\\n";
    } else if (c < 0x20 || c == 0x7f) {
      out += fmt::format("\\u{:04x}", c);
    } else if (c < 0x80) {
      out += text[i];
    } else {
      size_t length = c >= 0xf0 && c < 0xf5 ? 4 : c >= 0xe0 && c < 0xf0 ? 3 : c >= 0xc2 ? 2 : 0;
      bool whole = length != 0 && c < 0xf5 && i + length <= text.size();
      for (size_t k = 1; whole && k < length; ++k)
        whole = (static_cast<unsigned char>(text[i + k]) & 0xc0) == 0x80;
      out += whole ? text.substr(i, length) : "?";
      if (whole) i += length - 1;
    }
  }
  return out + '"';
}

}  // namespace

std::optional<Level> parse_level(std::string_view word) {
  if (word == "error" || word == "fatal" || word == "panic") return Level::kError;
  if (word == "warning" || word == "warn") return Level::kWarning;
  if (word == "info") return Level::kInfo;
  if (word == "debug" || word == "trace") return Level::kDebug;
  return std::nullopt;
}

std::string log_line(bool json, Level level, std::string_view text, int64_t unix_ns) {
  std::string time = format_rfc3339(unix_ns);
  if (json)
    return fmt::format("{{\"level\":\"{}\",\"msg\":{},\"time\":\"{}\"}}\n", level_word(level),
                       quoted(text), time);
  return fmt::format("time=\"{}\" level={} msg={}\n", time, level_word(level), quoted(text));
}

Result<Log> Log::open(const std::string& path, bool json, Level threshold) {
  Log log;
  log.json_ = json;
  log.threshold_ = threshold;
  if (!path.empty()) {
    TRY_CTX(log.file_, sys::open_file(path, O_WRONLY | O_APPEND | O_CREAT, 0644),
            "cannot open the log");
  }
  return log;
}

void Log::error(const Error& error) const {
  std::string text = error.message();
  if (!error.hint().empty()) text += " (" + error.hint() + ")";
  write(Level::kError, text);
  if (file_) {
    [[maybe_unused]] Result<void> said = sys::write_all(STDERR_FILENO, text + "\n");
  }
}

void Log::write(Level level, std::string_view text) const {
  if (level > threshold_) return;
  [[maybe_unused]] Result<void> written = sys::write_all(
      file_ ? file_.get() : STDERR_FILENO, log_line(json_, level, text, wall_clock_ns()));
}

}  // namespace wherry::ocicli
