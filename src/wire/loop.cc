#include "wire/loop.h"

#include <algorithm>

#include "base/clock.h"
#include "wire/exchange.h"

namespace wherry::wire {
namespace {

constexpr long kIdleConnections = 16;
constexpr int kTickMs = 250;

}  // namespace

Waiter::~Waiter() {
  loop_.forget(*this);
}

Sleep::Sleep(Loop& loop, int64_t ms) : Waiter(loop) {
  loop.wake_at(*this, monotonic_ns() + ms * 1'000'000);
}

Turnstile::Wait::Wait(Turnstile& turnstile) : Waiter(turnstile.loop_), turnstile_(turnstile) {
  turnstile.waiting_.insert(this);
}

Turnstile::Wait::~Wait() {
  turnstile_.waiting_.erase(this);
}

void Turnstile::wake_all() {
  for (Wait* wait : waiting_) loop_.wake(*wait);
  waiting_.clear();
}

Result<std::unique_ptr<Loop>> Loop::make() {
  CURLM* multi = curl_multi_init();
  if (multi == nullptr) return Error(ErrorKind::kResourceExhausted, "no memory for transfers");
  curl_multi_setopt(multi, CURLMOPT_MAXCONNECTS, kIdleConnections);
  return std::unique_ptr<Loop>(new Loop(multi));
}

Loop::~Loop() {
  curl_multi_cleanup(multi_);
}

void Loop::forget(Waiter& waiter) {
  std::erase(ready_, &waiter);
  std::erase_if(timers_, [&](const auto& timer) { return timer.second == &waiter; });
}

void Loop::finish_transfers() {
  int left = 0;
  while (CURLMsg* message = curl_multi_info_read(multi_, &left)) {
    if (message->msg != CURLMSG_DONE) continue;
    char* owner = nullptr;
    curl_easy_getinfo(message->easy_handle, CURLINFO_PRIVATE, &owner);
    CURLcode code = message->data.result;
    reinterpret_cast<Exchange*>(owner)->on_end(code);
  }
}

void Loop::resume_ready() {
  while (!ready_.empty()) {
    Waiter* next = ready_.front();
    ready_.erase(ready_.begin());
    next->handle_.resume();
  }
}

void Loop::tick() {
  int64_t now = monotonic_ns();
  while (!timers_.empty() && timers_.begin()->first <= now) {
    ready_.push_back(timers_.begin()->second);
    timers_.erase(timers_.begin());
  }
  for (Exchange* exchange : std::vector<Exchange*>(exchanges_.begin(), exchanges_.end()))
    exchange->on_tick(now);
}

int Loop::patience(int timeout_ms) const {
  int64_t wait = exchanges_.empty() ? timeout_ms : std::min(timeout_ms, kTickMs);
  if (!timers_.empty())
    wait = std::min<int64_t>(wait, (timers_.begin()->first - monotonic_ns()) / 1'000'000 + 1);
  return static_cast<int>(std::max<int64_t>(wait, 0));
}

void Loop::turn(std::vector<pollfd>& others, int timeout_ms) {
  int running = 0;
  curl_multi_perform(multi_, &running);
  finish_transfers();
  bool resumed = !ready_.empty();
  resume_ready();
  std::vector<curl_waitfd> waits;
  for (const pollfd& other : others)
    waits.push_back({other.fd,
                     static_cast<short>((other.events & POLLIN ? CURL_WAIT_POLLIN : 0) |
                                        (other.events & POLLOUT ? CURL_WAIT_POLLOUT : 0)),
                     0});
  std::vector<Exchange*> full;
  for (Exchange* exchange : exchanges_)
    if (int fd = exchange->full_fd(); fd >= 0) {
      full.push_back(exchange);
      waits.push_back({fd, CURL_WAIT_POLLOUT, 0});
    }
  curl_multi_poll(multi_, waits.data(), static_cast<unsigned>(waits.size()),
                  resumed ? 0 : patience(timeout_ms), nullptr);
  // curl does not hand on that the other end is gone.
  poll(others.data(), others.size(), 0);
  // A descriptor whose reader is gone reports an error that curl does not hand on: try them all.
  for (Exchange* exchange : full) exchange->on_writable();
  tick();
  finish_transfers();
  resume_ready();
}

}  // namespace wherry::wire
