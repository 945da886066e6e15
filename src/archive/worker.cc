#include "archive/worker.h"

#include <condition_variable>
#include <mutex>
#include <optional>
#include <system_error>
#include <thread>

namespace wherry::archive {

struct Worker::Post {
  std::mutex mutex;
  std::condition_variable changed;
  std::optional<std::function<void()>> job;  // an empty function: there will be none
};

Result<Worker> Worker::start() {
  auto post = std::make_shared<Post>();
  try {
    std::thread([post] {
      std::unique_lock lock(post->mutex);
      post->changed.wait(lock, [&] { return post->job.has_value(); });
      std::function<void()> job = std::move(*post->job);
      lock.unlock();
      if (job) job();
    }).detach();
  } catch (const std::system_error& error) {
    return Error::from_errno(error.code().value(), "cannot start a thread");
  }
  return Worker(std::move(post));
}

Worker::Worker(Worker&&) noexcept = default;

Worker::~Worker() {
  if (post_) run({});
}

void Worker::run(std::function<void()> job) {
  std::lock_guard lock(post_->mutex);
  if (!post_->job) post_->job = std::move(job);
  post_->changed.notify_one();
}

}  // namespace wherry::archive
