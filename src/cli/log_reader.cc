#include "cli/log_reader.h"

#include <fmt/format.h>
#include <sys/stat.h>

#include <cerrno>
#include <nlohmann/json.hpp>

#include "base/clock.h"
#include "base/text.h"

namespace wherry::cli {
namespace {

constexpr int kMaxRotated = 1000;
constexpr size_t kBlock = 65536;

// Where in a file the last messages begin, going backwards line by line.
class BackwardLines {
 public:
  BackwardLines(int fd, uint64_t size) : fd_(fd), end_(size), at_(size) {}

  struct Line {
    uint64_t offset = 0;
    std::string text;  // without its newline
  };
  // nullopt at the beginning of the file.
  Result<std::optional<Line>> next() {
    if (end_ == 0) return std::nullopt;
    for (;;) {
      // The newline that ends the line before this one. The last byte of `held_` may be this line's
      // own.
      size_t search = held_.size() < 2 ? std::string::npos : held_.rfind('\n', held_.size() - 2);
      if (search != std::string::npos) return take(search + 1);
      if (at_ == 0) return take(0);
      if (held_.size() > kMaxLogLine) {  // too long to be a record: drop it in pieces
        held_.erase(kBlock);
        end_ = at_ + held_.size();
      }
      TRY_VOID(read_block());
    }
  }

 private:
  Result<std::optional<Line>> take(size_t begin) {
    Line line{at_ + begin, held_.substr(begin)};
    held_.erase(begin);
    end_ = line.offset;
    if (line.text.ends_with('\n')) line.text.pop_back();
    return std::optional<Line>(std::move(line));
  }

  Result<void> read_block() {
    size_t size = std::min<uint64_t>(kBlock, at_);
    std::string block(size, '\0');
    ssize_t got = pread(fd_, block.data(), size, static_cast<off_t>(at_ - size));
    if (got < 0) return Error::from_errno(errno, "cannot read the log");
    if (static_cast<size_t>(got) != size)
      return Error(ErrorKind::kCorrupt, "the log became shorter");
    held_.insert(0, block);
    at_ -= size;
    return {};
  }

  int fd_;
  uint64_t end_;  // of what has not been returned yet
  uint64_t at_;   // file offset of held_[0]
  std::string held_;
};

}  // namespace

std::optional<LogRecord> parse_log_record(std::string_view line) {
  nlohmann::json record = nlohmann::json::parse(
      line, [](int depth, nlohmann::json::parse_event_t, nlohmann::json&) { return depth <= 8; },
      false);
  if (!record.is_object()) return std::nullopt;
  auto text = record.find("log");
  auto stream = record.find("stream");
  auto time = record.find("time");
  if (text == record.end() || !text->is_string() || stream == record.end() ||
      !stream->is_string() || time == record.end() || !time->is_string())
    return std::nullopt;
  auto when = parse_rfc3339(time->get_ref<const std::string&>());
  const auto& name = stream->get_ref<const std::string&>();
  if (!when || (name != "stdout" && name != "stderr")) return std::nullopt;
  return LogRecord{text->get<std::string>(), name == "stderr" ? 2 : 1, *when};
}

bool MessageStarts::begins(const LogRecord& record) {
  bool begins = !open_[record.stream];
  open_[record.stream] = !record.text.ends_with('\n');
  return begins;
}

std::optional<LogReader::File> LogReader::open_one(const std::string& path) {
  Result<sys::Fd> fd = sys::open_file(path, O_RDONLY | O_NOFOLLOW);
  if (!fd) return std::nullopt;
  struct stat status{};
  if (fstat(fd->get(), &status) != 0 || !S_ISREG(status.st_mode)) return std::nullopt;
  return File{std::move(*fd), status.st_dev, status.st_ino};
}

// Newest first, because a rotation meanwhile moves files towards older names: then one shows up
// twice and is dropped, and none is missed.
Result<void> LogReader::open_all() {
  files_.clear();
  for (int n = 0; n <= kMaxRotated; ++n) {
    auto file = open_one(n == 0 ? path_ : fmt::format("{}.{}", path_, n));
    if (!file && n == 0) continue;
    if (!file) break;
    bool twice = !files_.empty() && files_.front().device == file->device &&
                 files_.front().inode == file->inode;
    if (!twice) files_.insert(files_.begin(), std::move(*file));
  }
  return {};
}

Result<LogReader> LogReader::open(std::string path, std::optional<uint64_t> tail) {
  LogReader reader(std::move(path));
  TRY_VOID(reader.open_all());
  if (tail) TRY_VOID(reader.seek_tail(*tail));
  return reader;
}

// Counts messages from the end: a record with a newline ends one; so does a last one without.
Result<void> LogReader::seek_tail(uint64_t messages) {
  uint64_t seen = 0;
  bool touched[3] = {false, false, false};
  for (size_t i = files_.size(); i-- > 0;) {
    struct stat status{};
    if (fstat(files_[i].fd.get(), &status) != 0)
      return Error::from_errno(errno, "cannot read the log");
    BackwardLines lines(files_[i].fd.get(), static_cast<uint64_t>(status.st_size));
    uint64_t begin = static_cast<uint64_t>(status.st_size);
    for (;;) {
      TRY(auto line, lines.next());
      if (!line) break;
      auto record = parse_log_record(line->text);
      if (record && (record->text.ends_with('\n') || !touched[record->stream])) {
        if (seen == messages) {
          if (lseek(files_[i].fd.get(), static_cast<off_t>(begin), SEEK_SET) < 0)
            return Error::from_errno(errno, "cannot read the log");
          files_.erase(files_.begin(), files_.begin() + static_cast<ptrdiff_t>(i));
          return {};
        }
        ++seen;
        touched[record->stream] = true;
      }
      begin = line->offset;
    }
  }
  return {};
}

Result<void> LogReader::take_line(std::string_view line, const Sink& sink) {
  if (line.empty()) return {};
  auto record = parse_log_record(line);
  if (!record) {
    ++damaged_;
    return {};
  }
  return sink(*record);
}

Result<void> LogReader::read_file(int fd, const Sink& sink) {
  char block[kBlock];
  for (;;) {
    ssize_t got = read(fd, block, sizeof block);
    if (got < 0 && errno == EINTR) continue;
    if (got < 0) return Error::from_errno(errno, "cannot read the log");
    if (got == 0) return {};
    std::string_view data(block, static_cast<size_t>(got));
    for (size_t end = data.find('\n'); end != data.npos; end = data.find('\n')) {
      if (skipping_) {
        skipping_ = false;
      } else if (rest_.empty()) {
        TRY_VOID(take_line(data.substr(0, end), sink));
      } else {
        rest_ += data.substr(0, end);
        std::string line = std::exchange(rest_, {});
        TRY_VOID(take_line(line, sink));
      }
      data.remove_prefix(end + 1);
    }
    if (skipping_) continue;
    rest_ += data;
    if (rest_.size() > kMaxLogLine) {
      rest_.clear();
      skipping_ = true;
      ++damaged_;
    }
  }
}

// After the file being read was rotated: the files that came after it. False: it is still the
// current one.
Result<bool> LogReader::find_newer() {
  auto current = open_one(path_);
  if (!current) return false;
  if (!files_.empty() && current->device == files_[0].device && current->inode == files_[0].inode)
    return false;
  std::vector<File> before = std::move(files_);
  TRY_VOID(open_all());
  if (before.empty()) return true;
  size_t known = files_.size();
  for (size_t i = 0; i < files_.size(); ++i)
    if (files_[i].device == before[0].device && files_[i].inode == before[0].inode) known = i;
  if (known == files_.size()) {
    lost_ = true;  // maybe only ours is gone, maybe others too
    files_.insert(files_.begin(), std::move(before[0]));
    return true;
  }
  files_.erase(files_.begin(), files_.begin() + static_cast<ptrdiff_t>(known));
  files_[0] = std::move(before[0]);  // with its position
  return true;
}

Result<void> LogReader::read_available(const Sink& sink) {
  for (;;) {
    while (!files_.empty()) {
      TRY_VOID(read_file(files_[0].fd.get(), sink));
      if (files_.size() == 1) break;
      // A rotated file ends with its last line: an unfinished one there will never be finished.
      if (!rest_.empty()) {
        rest_.clear();
        ++damaged_;
      }
      skipping_ = false;
      files_.erase(files_.begin());
    }
    TRY(bool newer, find_newer());
    if (!newer) return {};
  }
}

}  // namespace wherry::cli
