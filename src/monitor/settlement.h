// Settling the end: an attached client has promised to do it, or the configured command does.
//
// The command runs with a fixed environment and no streams, in this monitor's cgroup, and is waited
// for at most a minute; it is idempotent, so nobody minds when a client has done half of it before
// it died.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "monitor/event_loop.h"
#include "sys/process.h"

namespace wherry::monitor {

class Settlement {
 public:
  Settlement(EventLoop& loop, std::vector<std::string> command)
      : loop_(loop), command_(std::move(command)) {}
  Settlement(const Settlement&) = delete;
  Settlement& operator=(const Settlement&) = delete;
  ~Settlement() { stop_watching(); }

  // A client has settled: nothing is left to do.
  void done_by_client() { done_ = true; }
  // Runs the command, once. Without one, done() at once.
  void run_command();
  bool running() const { return running_; }
  bool done() const { return done_; }

 private:
  void finish();
  void stop_watching();

  EventLoop& loop_;
  std::vector<std::string> command_;
  sys::Child child_;
  EventLoop::Timer timeout_ = 0;
  bool running_ = false;
  bool done_ = false;
};

}  // namespace wherry::monitor
