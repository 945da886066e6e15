#include "store/own_spans.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <utility>

#include "sys/fd.h"

namespace wherry::store {
namespace {

constexpr const char* kFile = "own-spans";
// Beyond it the older half is forgotten.
constexpr size_t kMaxSpans = 4096;
static_assert(std::endian::native == std::endian::little);

int64_t nanoseconds(const timespec& time) {
  return int64_t{time.tv_sec} * 1'000'000'000 + time.tv_nsec;
}

int64_t now(clockid_t clock) {
  timespec time{};
  clock_gettime(clock, &time);
  return nanoseconds(time);
}

// Now; what is stamped from the return on has a later time.
int64_t tick() {
  const int64_t time = now(CLOCK_REALTIME);
  const timespec pause{0, 500'000};
  for (int i = 0; i < 100 && now(CLOCK_REALTIME_COARSE) <= time; ++i) nanosleep(&pause, nullptr);
  return time;
}

// Sorted, and apart from each other.
void join(std::vector<TimeSpan>& spans) {
  std::ranges::sort(spans, {}, &TimeSpan::first);
  size_t last = 0;
  for (size_t i = 1; i < spans.size(); ++i) {
    if (spans[i].first <= spans[last].last)
      spans[last].last = std::max(spans[last].last, spans[i].last);
    else
      spans[++last] = spans[i];
  }
  if (!spans.empty()) spans.resize(last + 1);
}

// Whether one of them has a part of it.
bool touches(const std::vector<TimeSpan>& spans, const TimeSpan& time) {
  auto after = std::ranges::upper_bound(spans, time.last, {}, &TimeSpan::first);
  return after != spans.begin() && time.first <= std::prev(after)->last;
}

// Two that do so at once may lose one of the records.
void add(const std::string& root, const TimeSpan& span) {
  Result<sys::Fd> file = sys::open_file(root + "/" + kFile, O_RDWR | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) return;
  const off_t size = lseek(file->get(), 0, SEEK_END);
  if (size < 0) return;
  auto count = static_cast<size_t>(size) / sizeof(TimeSpan);
  if (count >= kMaxSpans) {
    std::vector<TimeSpan> kept(kMaxSpans / 2);
    const size_t bytes = kept.size() * sizeof(TimeSpan);
    const off_t from = static_cast<off_t>((count - kept.size()) * sizeof(TimeSpan));
    count = 0;
    if (pread(file->get(), kept.data(), bytes, from) == static_cast<ssize_t>(bytes) &&
        pwrite(file->get(), kept.data(), bytes, 0) == static_cast<ssize_t>(bytes))
      count = kept.size();
  }
  const auto end = static_cast<off_t>(count * sizeof(TimeSpan));
  if (pwrite(file->get(), &span, sizeof span, end) == sizeof span) [[maybe_unused]]
    int cut = ftruncate(file->get(), end + static_cast<off_t>(sizeof span));
}

}  // namespace

OwnSpans::OwnSpans(std::string root) : root_(std::move(root)) {
  Result<sys::Fd> file = sys::open_file(root_ + "/" + kFile, O_RDONLY | O_NOFOLLOW);
  if (!file) return;
  std::vector<TimeSpan> records(kMaxSpans);
  const ssize_t got = pread(file->get(), records.data(), kMaxSpans * sizeof(TimeSpan), 0);
  records.resize(got > 0 ? static_cast<size_t>(got) / sizeof(TimeSpan) : 0);
  // What a power cut has made of it says nothing.
  const int64_t limit = now(CLOCK_REALTIME);
  for (const TimeSpan& record : records) {
    if (record.first <= 0 || record.last <= 0 || std::max(record.first, record.last) > limit)
      continue;
    if (record.first <= record.last)
      spans_.push_back(record);
    else
      removals_.push_back({record.last, record.first});
  }
  join(spans_);
  join(removals_);
}

void OwnSpans::begin() {
  if (began_ == 0) began_ = tick();
}

// A file system that has whole seconds only says that it was somewhere in this one.
bool OwnSpans::knows(const timespec& change) const {
  const int64_t time = nanoseconds(change);
  const int64_t latest = change.tv_nsec == 0 ? time + 999'999'999 : time;
  return touches(spans_, {time, latest}) && !touches(removals_, {time, latest});
}

void OwnSpans::keep() {
  if (began_ == 0) return;
  const TimeSpan own{std::exchange(began_, 0), tick()};
  add(root_, own);
}

Removal::Removal(std::string root) : root_(std::move(root)), began_(now(CLOCK_REALTIME_COARSE)) {}

Removal::~Removal() {
  add(root_, {now(CLOCK_REALTIME) + 1, began_});
}

}  // namespace wherry::store
