// Worker: a second thread of wherry-unpack, started before the system calls that start threads are
// gone, given its job later.
#pragma once

#include <functional>
#include <memory>

#include "base/result.h"

namespace wherry::archive {

class Worker {
 public:
  static Result<Worker> start();
  Worker(Worker&&) noexcept;
  Worker& operator=(Worker&&) = delete;
  // Does not wait: who needs the job's end waits for its result. One that never got a job ends.
  ~Worker();
  // Once. What the job uses must live as long as it runs.
  void run(std::function<void()> job);

 private:
  struct Post;
  explicit Worker(std::shared_ptr<Post> post) : post_(std::move(post)) {}
  std::shared_ptr<Post> post_;
};

}  // namespace wherry::archive
