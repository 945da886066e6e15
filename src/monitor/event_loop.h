// One epoll, callbacks by descriptor, and one-shot timers. Single-threaded; callbacks may add and
// remove descriptors and timers, their own included.
#pragma once

#include <sys/epoll.h>

#include <cstdint>
#include <functional>
#include <map>
#include <memory>
#include <unordered_map>

#include "sys/fd.h"

namespace wherry::monitor {

class EventLoop {
 public:
  using Handler = std::function<void(uint32_t events)>;
  using Action = std::function<void()>;
  using Timer = uint64_t;

  static Result<EventLoop> create();

  // Watches `fd` (borrowed; remove it before it is closed) for EPOLL* `events`, level-triggered.
  Result<void> add(int fd, uint32_t events, Handler handler);
  // Another set of events; 0 keeps it registered (hang-ups still arrive).
  void modify(int fd, uint32_t events);
  void remove(int fd);  // an unknown one is fine
  bool watches(int fd) const { return entries_.contains(fd); }

  Timer after(int64_t milliseconds, Action action);
  void cancel(Timer timer);  // one that has fired is fine

  // Waits for and handles one round of events.
  Result<void> run_once();

 private:
  struct Entry {
    uint32_t generation = 0;
    uint32_t events = 0;
    std::shared_ptr<Handler> handler;
  };
  int timeout_ms() const;
  void run_timers();

  sys::Fd epoll_;
  std::unordered_map<int, Entry> entries_;
  std::map<std::pair<int64_t, Timer>, Action> timers_;  // by monotonic deadline
  uint32_t next_generation_ = 1;
  Timer next_timer_ = 1;
};

}  // namespace wherry::monitor
