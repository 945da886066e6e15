// The container's log in Docker's json-file format: one object a line,
// {"log":"text\n","stream":"stdout", "time":"RFC 3339"}. docs/formats/container-log.md has the
// bytes.
//
// A line without its end is held back until the end, 16 KiB or the stream's end; longer lines
// become several records, all but the last without "\n". Invalid UTF-8 becomes U+FFFD. When the
// file reaches the size limit it is rotated: log -> log.1 -> log.2, or emptied when one file is
// allowed. A full disk never stops a container, nor slows it down (a write that finds no room may
// wait for the journal): records are dropped for kRetryNs, counted, and the loss is recorded as one
// record once there is room. Not thread-safe. No syncs: a log is not an
// acknowledgement.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "sys/fd.h"

namespace wherry::monitor {

class JsonLog {
 public:
  static constexpr size_t kMaxLine = 16 * 1024;
  static constexpr int64_t kRetryNs = 100'000'000;

  // A log that drops everything (driver "none").
  JsonLog() = default;
  // Opens or makes `path` (0640) for appending. max_size 0: no limit.
  static Result<JsonLog> open(const std::string& path, uint64_t max_size, int max_files);

  // Bytes as they were read from stream 1 or 2 at `now_ns`. True when the file grew.
  bool write(int stream, std::string_view data, int64_t now_ns);
  // The stream has ended: what is held back is recorded as it is.
  bool finish(int stream, int64_t now_ns);

  uint64_t dropped() const { return dropped_; }  // records lost and not yet recorded as lost

 private:
  void add_record(int stream, std::string_view text, int64_t now_ns);
  void add_full_records(int stream, size_t limit, int64_t now_ns);
  void flush(int64_t now_ns);
  void write_batch(int64_t now_ns);
  bool append(std::string_view bytes);
  void rotate();
  Result<void> reopen();

  std::string path_;
  sys::Fd fd_;
  uint64_t max_size_ = 0;
  int max_files_ = 1;
  uint64_t size_ = 0;
  std::string held_[2];  // a line's beginning, per stream
  std::string batch_;    // records of one call, written at once
  uint64_t batch_records_ = 0;
  uint64_t dropped_ = 0;
  int drop_errnum_ = 0;
  int64_t failed_ns_ = 0;  // when the last write found no room
  bool grew_ = false;
};

// `text` as the inside of a JSON string, escaped as Go's and Docker's encoders do.
void append_json_escaped(std::string& out, std::string_view text);

}  // namespace wherry::monitor
