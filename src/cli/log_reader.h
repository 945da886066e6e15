// Reading a container's json-file log: the current file and the rotated ones before it (PATH.1 is
// the newest of those), as messages. A message split over several records (lines over 16 KiB) is
// put together again, per stream. Damaged lines are skipped and counted. Knows nothing about the
// engine.
#pragma once

#include <cstdint>
#include <functional>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "sys/fd.h"

namespace wherry::cli {

inline constexpr size_t kMaxLogLine = 1 << 20;

struct LogRecord {
  std::string text;  // as written, with its newline if it had one
  int stream = 1;    // 1 stdout, 2 stderr
  int64_t time_ns = 0;
};

// nullopt: damaged.
std::optional<LogRecord> parse_log_record(std::string_view line);

class LogReader {
 public:
  using Sink = std::function<Result<void>(const LogRecord&)>;

  // Opens the files that are there. `tail`: only the last so many messages; nullopt: all.
  static Result<LogReader> open(std::string path, std::optional<uint64_t> tail);

  // Hands over whole records until the end of what is written; again after the log has grown.
  // Follows a rotation. A last line without its newline waits for the rest.
  Result<void> read_available(const Sink& sink);
  uint64_t damaged() const { return damaged_; }
  // True when files were rotated away before they could be read.
  bool lost() const { return lost_; }

 private:
  struct File {
    sys::Fd fd;
    uint64_t device = 0, inode = 0;
  };
  LogReader(std::string path) : path_(std::move(path)) {}
  static std::optional<File> open_one(const std::string& path);
  Result<void> open_all();
  Result<void> seek_tail(uint64_t messages);
  Result<void> read_file(int fd, const Sink& sink);
  Result<void> take_line(std::string_view line, const Sink& sink);
  Result<bool> find_newer();

  std::string path_;
  std::vector<File> files_;  // oldest first; files_[0] is being read
  std::string rest_;         // of a line whose newline has not come
  bool skipping_ = false;    // inside a line that is too long
  uint64_t damaged_ = 0;
  bool lost_ = false;
};

// Puts the parts of split messages together: whether a record begins a message, per stream.
class MessageStarts {
 public:
  bool begins(const LogRecord& record);

 private:
  bool open_[3] = {false, false, false};
};

}  // namespace wherry::cli
