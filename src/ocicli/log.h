// What wherry-oci says besides its output: errors, warnings and debug words, in the shapes that
// engines read.
//
// With --log they go to that file, one line each: {"level":"error","msg":"...","time":"..."} with
// --log-format json (containerd and conmon take the last error of it), logfmt otherwise. An error
// is also printed plainly on standard error then. Without --log everything goes to standard error.
// A log that cannot be written is no reason to fail.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::ocicli {

enum class Level { kError, kWarning, kInfo, kDebug };

// "error", "warning" or "warn", "info", "debug"; nullopt for other words.
std::optional<Level> parse_level(std::string_view word);

// One line with its end. `unix_ns`: the time of the record.
std::string log_line(bool json, Level level, std::string_view text, int64_t unix_ns);

class Log {
 public:
  // `path`: empty for standard error, else a file to append to (0644 when made).
  static Result<Log> open(const std::string& path, bool json, Level threshold);
  Log() = default;

  void error(const Error& error) const;
  void warn(std::string_view text) const { write(Level::kWarning, text); }
  void debug(std::string_view text) const { write(Level::kDebug, text); }
  // The file's descriptor, which must not reach a container; -1: none.
  int fd() const { return file_.get(); }

 private:
  void write(Level level, std::string_view text) const;

  sys::Fd file_;
  bool json_ = false;
  Level threshold_ = Level::kInfo;
};

}  // namespace wherry::ocicli
