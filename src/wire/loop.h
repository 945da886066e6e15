// The one thread of wherry-transfer: curl's transfers, timers and descriptors, and who waits.
//
// Coroutines wait here and nowhere else. A waiter may be destroyed at any time (its transfer was
// cancelled); it leaves the loop by itself.
#pragma once

#include <curl/curl.h>
#include <poll.h>

#include <coroutine>
#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <set>
#include <vector>

#include "base/result.h"

namespace wherry::wire {

class Exchange;
class Loop;

// Somebody suspended. Lives in the frame of its coroutine.
class Waiter {
 public:
  explicit Waiter(Loop& loop) : loop_(loop) {}
  Waiter(const Waiter&) = delete;
  Waiter& operator=(const Waiter&) = delete;
  ~Waiter();

  bool await_ready() const noexcept { return false; }
  void await_suspend(std::coroutine_handle<> handle) noexcept { handle_ = handle; }
  void await_resume() const noexcept {}

  Loop& loop() { return loop_; }

 private:
  friend class Loop;
  Loop& loop_;
  std::coroutine_handle<> handle_;
};

class Loop {
 public:
  static Result<std::unique_ptr<Loop>> make();
  ~Loop();
  Loop(const Loop&) = delete;
  Loop& operator=(const Loop&) = delete;

  CURLM* multi() { return multi_; }
  // Resumes it from the loop, not from here.
  void wake(Waiter& waiter) { ready_.push_back(&waiter); }
  // Wakes it when CLOCK_MONOTONIC is at `deadline_ns`.
  void wake_at(Waiter& waiter, int64_t deadline_ns) { timers_.emplace(deadline_ns, &waiter); }
  void forget(Waiter& waiter);

  // Exchanges in flight: they want ticks for their stalls, and POLLOUT for full pipes.
  void add(Exchange& exchange) { exchanges_.insert(&exchange); }
  void remove(Exchange& exchange) { exchanges_.erase(&exchange); }

  // One round: waits for at most `timeout_ms` and resumes who can go on. `others` are polled
  // beside; their revents are set, POLLERR and POLLHUP too.
  void turn(std::vector<pollfd>& others, int timeout_ms);

 private:
  explicit Loop(CURLM* multi) : multi_(multi) {}
  void finish_transfers();
  void resume_ready();
  void tick();
  int patience(int timeout_ms) const;

  CURLM* multi_;
  std::vector<Waiter*> ready_;
  std::multimap<int64_t, Waiter*> timers_;
  std::set<Exchange*> exchanges_;
};

// co_await pause: goes on after `ms`.
class Sleep : public Waiter {
 public:
  Sleep(Loop& loop, int64_t ms);
};

// Closed for one, who fetches what the others wait for.
class Turnstile {
 public:
  explicit Turnstile(Loop& loop) : loop_(loop) {}
  class Wait : public Waiter {
   public:
    explicit Wait(Turnstile& turnstile);
    ~Wait();

   private:
    Turnstile& turnstile_;
  };
  void wake_all();

 private:
  Loop& loop_;
  std::set<Wait*> waiting_;
};

}  // namespace wherry::wire
