#include "store/own_spans.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

#include <algorithm>
#include <bit>
#include <string_view>
#include <utility>

#include "sys/file.h"

namespace wherry::store {
namespace {

constexpr const char* kFile = "own-spans";
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

}  // namespace

OwnSpans::OwnSpans(std::string root) : root_(std::move(root)) {
  Result<sys::Fd> file = sys::open_file(root_ + "/" + kFile, O_RDONLY | O_NOFOLLOW);
  if (!file) return;
  spans_.resize(kMaxSpans);
  ssize_t got = pread(file->get(), spans_.data(), kMaxSpans * sizeof(Span), 0);
  spans_.resize(got > 0 ? static_cast<size_t>(got) / sizeof(Span) : 0);
  // What a power cut has made of it says nothing.
  const int64_t limit = now(CLOCK_REALTIME);
  std::erase_if(spans_, [&](const Span& span) {
    return span.first <= 0 || span.last < span.first || span.last > limit;
  });
  join();
}

void OwnSpans::begin() {
  if (began_ == 0) began_ = tick();
}

// Sorted, and apart from each other.
void OwnSpans::join() {
  std::ranges::sort(spans_, {}, &Span::first);
  size_t last = 0;
  for (size_t i = 1; i < spans_.size(); ++i) {
    if (spans_[i].first <= spans_[last].last)
      spans_[last].last = std::max(spans_[last].last, spans_[i].last);
    else
      spans_[++last] = spans_[i];
  }
  if (!spans_.empty()) spans_.resize(last + 1);
}

bool OwnSpans::knows(const timespec& change) const {
  const int64_t time = nanoseconds(change);
  auto after = std::ranges::upper_bound(spans_, time, {}, &Span::first);
  return after != spans_.begin() && time <= std::prev(after)->last;
}

bool OwnSpans::covers(const timespec& change) const {
  const int64_t time = nanoseconds(change);
  const bool own = began_ != 0 && time >= began_ && time <= now(CLOCK_REALTIME);
  return own || knows(change);
}

void OwnSpans::keep() const {
  if (began_ == 0) return;
  const Span own{began_, tick()};
  Result<sys::Fd> root = sys::open_file(root_, O_RDONLY | O_DIRECTORY);
  if (!root) return;
  Result<sys::Fd> file = sys::open_at(root->get(), kFile, O_WRONLY | O_CREAT | O_NOFOLLOW, 0600);
  if (!file) return;
  const off_t end = lseek(file->get(), 0, SEEK_END);
  const auto size = static_cast<off_t>(sizeof(Span));
  if (end < 0) return;
  if (end < static_cast<off_t>(kMaxSpans) * size) {
    // Two that do so at once may lose one of them.
    [[maybe_unused]] ssize_t done = pwrite(file->get(), &own, sizeof own, end - end % size);
    return;
  }
  std::vector<Span> kept(spans_.end() - static_cast<ptrdiff_t>(spans_.size() / 2), spans_.end());
  kept.push_back(own);
  const std::string_view bytes(reinterpret_cast<const char*>(kept.data()),
                               kept.size() * sizeof(Span));
  [[maybe_unused]] Result<void> else_read_again =
      sys::write_file_atomic(root->get(), kFile, bytes, 0600, sys::Sync::kNone);
}

}  // namespace wherry::store
