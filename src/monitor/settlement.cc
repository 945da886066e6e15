#include "monitor/settlement.h"

namespace wherry::monitor {
namespace {

constexpr int64_t kTimeoutMs = 60'000;

Result<sys::Child> spawn_command(const std::vector<std::string>& command) {
  TRY(sys::Fd null, sys::open_file("/dev/null", O_RDWR));
  sys::SpawnOptions options;
  options.program = command[0];
  options.arguments = command;
  options.environment = sys::inherited_test_environment();
  options.environment.push_back(
      "PATH=/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin");
  for (int fd = 0; fd < 3; ++fd) options.fds.emplace_back(null.get(), fd);
  return sys::spawn(std::move(options));
}

}  // namespace

void Settlement::run_command() {
  if (running_ || done_) return;
  if (command_.empty()) {
    done_ = true;
    return;
  }
  // When it cannot be started the next command of the engine settles: the end is on file.
  Result<sys::Child> child = spawn_command(command_);
  if (!child || !loop_.add(child->pidfd(), EPOLLIN, [this](uint32_t) { finish(); })) {
    done_ = true;
    return;
  }
  child_ = std::move(*child);
  running_ = true;
  timeout_ = loop_.after(kTimeoutMs, [this] {
    stop_watching();
    done_ = true;
  });
}

void Settlement::finish() {
  stop_watching();
  [[maybe_unused]] Result<int> code = child_.wait();
  done_ = true;
}

void Settlement::stop_watching() {
  if (!running_) return;
  running_ = false;
  loop_.remove(child_.pidfd());
  loop_.cancel(timeout_);
}

}  // namespace wherry::monitor
