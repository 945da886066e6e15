#include "monitor/event_loop.h"

#include <algorithm>
#include <cerrno>
#include <string>

#include "base/clock.h"

namespace wherry::monitor {
namespace {

// A descriptor number may be closed and used again within one round of events: the generation tells
// whether an event is for the present one.
uint64_t key_of(int fd, uint32_t generation) {
  return static_cast<uint64_t>(generation) << 32 | static_cast<uint32_t>(fd);
}

}  // namespace

Result<EventLoop> EventLoop::create() {
  EventLoop loop;
  loop.epoll_.reset(epoll_create1(EPOLL_CLOEXEC));
  if (!loop.epoll_) return Error::from_errno(errno, "cannot make an epoll descriptor");
  return loop;
}

Result<void> EventLoop::add(int fd, uint32_t events, Handler handler) {
  Entry entry{next_generation_++, events, std::make_shared<Handler>(std::move(handler))};
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_of(fd, entry.generation);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_ADD, fd, &event) != 0)
    return Error::from_errno(errno, "cannot watch descriptor " + std::to_string(fd));
  entries_[fd] = std::move(entry);
  return {};
}

void EventLoop::modify(int fd, uint32_t events) {
  auto found = entries_.find(fd);
  if (found == entries_.end() || found->second.events == events) return;
  epoll_event event{};
  event.events = events;
  event.data.u64 = key_of(fd, found->second.generation);
  if (epoll_ctl(epoll_.get(), EPOLL_CTL_MOD, fd, &event) == 0) found->second.events = events;
}

void EventLoop::remove(int fd) {
  if (entries_.erase(fd) > 0) epoll_ctl(epoll_.get(), EPOLL_CTL_DEL, fd, nullptr);
}

EventLoop::Timer EventLoop::after(int64_t milliseconds, Action action) {
  Timer timer = next_timer_++;
  timers_.emplace(std::pair(monotonic_ns() + milliseconds * 1'000'000, timer), std::move(action));
  return timer;
}

void EventLoop::cancel(Timer timer) {
  std::erase_if(timers_, [&](const auto& item) { return item.first.second == timer; });
}

int EventLoop::timeout_ms() const {
  if (timers_.empty()) return -1;
  int64_t left = timers_.begin()->first.first - monotonic_ns();
  return left <= 0 ? 0 : static_cast<int>(std::min<int64_t>(left / 1'000'000 + 1, 3'600'000));
}

void EventLoop::run_timers() {
  int64_t now = monotonic_ns();
  while (!timers_.empty() && timers_.begin()->first.first <= now) {
    Action action = std::move(timers_.begin()->second);
    timers_.erase(timers_.begin());
    action();
  }
}

Result<void> EventLoop::run_once() {
  epoll_event events[32];
  int count = epoll_wait(epoll_.get(), events, 32, timeout_ms());
  if (count < 0 && errno != EINTR) return Error::from_errno(errno, "cannot wait for events");
  for (int i = 0; i < count; ++i) {
    int fd = static_cast<int>(events[i].data.u64 & 0xffffffff);
    auto found = entries_.find(fd);
    if (found == entries_.end() || key_of(fd, found->second.generation) != events[i].data.u64)
      continue;
    std::shared_ptr<Handler> handler = found->second.handler;  // it may remove itself
    (*handler)(events[i].events);
  }
  run_timers();
  return {};
}

}  // namespace wherry::monitor
