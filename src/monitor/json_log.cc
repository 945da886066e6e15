#include "monitor/json_log.h"

#include <sys/stat.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/clock.h"
#include "base/failpoint.h"
#include "base/utf8.h"

namespace wherry::monitor {
namespace {

constexpr size_t kKeepBuffer = 64 * 1024;

bool plain(char c) {
  unsigned char byte = static_cast<unsigned char>(c);
  return byte >= 0x20 && byte < 0x80 && c != '\\' && c != '"' && c != '<' && c != '>' && c != '&';
}

void append_escape(std::string& out, char c) {
  switch (c) {
    case '\\':
      out += "\\\\";
      return;
    case '"':
      out += "\\\"";
      return;
    case '\n':
      out += "\\n";
      return;
    case '\r':
      out += "\\r";
      return;
    default:
      break;
  }
  char code[8];
  snprintf(code, sizeof code, "\\u%04x", static_cast<unsigned char>(c));
  out += code;
}

// Where a line that is too long is cut: not inside a character when one begins just before the
// limit.
size_t cut_length(std::string_view line) {
  if (line.size() <= JsonLog::kMaxLine) return line.size();
  size_t cut = JsonLog::kMaxLine;
  for (size_t back = 1; back <= 3; ++back)
    if (utf8_length(line.substr(cut - back)) > back) return cut - back;
  return cut;
}

}  // namespace

void append_json_escaped(std::string& out, std::string_view text) {
  size_t i = 0;
  while (i < text.size()) {
    size_t run = i;
    while (run < text.size() && plain(text[run])) ++run;
    out.append(text, i, run - i);
    i = run;
    if (i == text.size()) return;
    size_t length = utf8_length(text.substr(i));
    std::string_view sequence = text.substr(i, std::max<size_t>(length, 1));
    if (length == 0) {
      out += "\\ufffd";
    } else if (length == 1) {
      append_escape(out, text[i]);
    } else if (sequence == "\u2028" || sequence == "\u2029") {
      out += sequence == "\u2028" ? "\\u2028" : "\\u2029";  // line ends for JavaScript
    } else {
      out += sequence;
    }
    i += sequence.size();
  }
}

Result<JsonLog> JsonLog::open(const std::string& path, uint64_t max_size, int max_files) {
  JsonLog log;
  log.path_ = path;
  log.max_size_ = max_size;
  log.max_files_ = max_files;
  TRY_VOID_CTX(failpoint("monitor.log_opened"), "cannot open the log '" + path + "'");
  TRY_VOID(log.reopen());
  return log;
}

Result<void> JsonLog::reopen() {
  TRY_CTX(fd_, sys::open_file(path_, O_WRONLY | O_CREAT | O_APPEND | O_NOFOLLOW, 0640),
          "cannot open the log");
  struct stat info{};
  if (fstat(fd_.get(), &info) != 0)
    return Error::from_errno(errno, "cannot read the log '" + path_ + "'");
  size_ = static_cast<uint64_t>(info.st_size);
  return {};
}

bool JsonLog::write(int stream, std::string_view data, int64_t now_ns) {
  if (path_.empty()) return false;
  grew_ = false;
  std::string& held = held_[stream - 1];
  while (!data.empty()) {
    size_t end = data.find('\n');
    size_t take = end == data.npos ? data.size() : end + 1;
    // Never hold much more than one record, whatever the size of the reads; three bytes beyond the
    // limit show whether a character ends there.
    take = std::min(take, kMaxLine + 4 - held.size());
    bool complete = end != data.npos && take == end + 1;
    held.append(data.substr(0, take));
    data.remove_prefix(take);
    add_full_records(stream, complete ? kMaxLine + 1 : kMaxLine + 3, now_ns);
    if (!complete) continue;
    add_record(stream, held, now_ns);
    held.clear();
  }
  flush(now_ns);
  return grew_;
}

bool JsonLog::finish(int stream, int64_t now_ns) {
  std::string& held = held_[stream - 1];
  if (path_.empty() || (held.empty() && dropped_ == 0)) return false;
  grew_ = false;
  failed_ns_ = 0;  // it may be the last chance
  add_full_records(stream, kMaxLine, now_ns);
  if (!held.empty()) add_record(stream, held, now_ns);
  held = std::string();
  write_batch(now_ns);
  return grew_;
}

void JsonLog::add_full_records(int stream, size_t limit, int64_t now_ns) {
  std::string& held = held_[stream - 1];
  while (held.size() > limit) {
    size_t cut = cut_length(held);
    add_record(stream, std::string_view(held).substr(0, cut), now_ns);
    held.erase(0, cut);
  }
}

void JsonLog::add_record(int stream, std::string_view text, int64_t now_ns) {
  batch_ += "{\"log\":\"";
  append_json_escaped(batch_, text);
  batch_ +=
      stream == 2 ? "\",\"stream\":\"stderr\",\"time\":\"" : "\",\"stream\":\"stdout\",\"time\":\"";
  batch_ += format_rfc3339(now_ns);
  batch_ += "\"}\n";
  ++batch_records_;
  // With a size limit a batch must not jump over several files at once.
  if (max_size_ > 0 || batch_.size() > kKeepBuffer) flush(now_ns);
}

void JsonLog::flush(int64_t now_ns) {
  if (batch_records_ == 0) return;
  // The clock may have been set back meanwhile.
  if (dropped_ > 0 && now_ns >= failed_ns_ && now_ns < failed_ns_ + kRetryNs) {
    dropped_ += std::exchange(batch_records_, 0);
    batch_.clear();
    return;
  }
  write_batch(now_ns);
}

void JsonLog::write_batch(int64_t now_ns) {
  if (dropped_ > 0) {
    std::string note =
        "{\"log\":\"wherry: " + std::to_string(dropped_) + " log records were lost: ";
    append_json_escaped(note, Error::from_errno(drop_errnum_, "cannot write").message());
    note += "\\n\",\"stream\":\"stderr\",\"time\":\"" + format_rfc3339(now_ns) + "\"}\n";
    if (append(note)) dropped_ = 0;
  }
  bool written = dropped_ == 0 && (batch_.empty() || append(batch_));
  if (!written) {
    dropped_ += batch_records_;
    failed_ns_ = now_ns;
  }
  batch_records_ = 0;
  batch_.clear();
  if (batch_.capacity() > 2 * kKeepBuffer) batch_.shrink_to_fit();
  if (written && max_size_ > 0 && size_ >= max_size_) rotate();
}

// Whole records or nothing: after a short write the file is cut back to where it was.
bool JsonLog::append(std::string_view bytes) {
  if (!fd_ && !reopen()) {
    drop_errnum_ = errno;
    return false;
  }
  Result<void> written = failpoint("monitor.log_write");
  if (written) written = sys::write_all(fd_.get(), bytes);
  if (written) {
    size_ += bytes.size();
    grew_ = true;
    return true;
  }
  drop_errnum_ = written.error().errnum();
  if (ftruncate(fd_.get(), static_cast<off_t>(size_)) != 0) fd_.reset();
  return false;
}

void JsonLog::rotate() {
  if (max_files_ <= 1) {
    if (ftruncate(fd_.get(), 0) == 0) size_ = 0;
    return;
  }
  for (int i = max_files_ - 1; i > 0; --i) {
    std::string from = i == 1 ? path_ : path_ + "." + std::to_string(i - 1);
    rename(from.c_str(), (path_ + "." + std::to_string(i)).c_str());
  }
  fd_.reset();
  if (!reopen()) fd_.reset();  // tried again with the next record
}

}  // namespace wherry::monitor
