#include "engine/session.h"

#include <poll.h>

#include <algorithm>
#include <cerrno>

#include "base/clock.h"

namespace wherry::engine {
namespace {

constexpr size_t kInputChunk = 32768;

}  // namespace

MonitorSession::MonitorSession(std::shared_ptr<monitor::Client> client,
                               std::function<void(bool)> at_end)
    : client_(std::move(client)), at_end_(std::move(at_end)) {}

MonitorSession::~MonitorSession() {
  if (at_end_) at_end_(ended_);
}

Result<Session::Event> MonitorSession::next() {
  for (;;) {
    Result<monitor::Message> message = client_->receive();
    if (!message) {
      if (message.error().kind() == ErrorKind::kUnavailable) return Event{};
      return std::move(message.error());
    }
    if (auto* output = std::get_if<monitor::Output>(&*message))
      return Event{Event::Kind::kOutput, output->stream, std::move(output->data), 0};
    if (auto* exited = std::get_if<monitor::Exited>(&*message)) {
      ended_ = true;
      return Event{Event::Kind::kExited, 1, {}, exited->code};
    }
    // Answers to signals and notes about the log are nothing to a terminal; but the caller's poll
    // said that something is there, so only what is already kept may be looked at next.
    if (!client_->has_pending()) return Event{Event::Kind::kOutput, 1, {}, 0};
  }
}

Result<void> MonitorSession::write_input(std::string_view data) {
  while (!data.empty()) {
    std::string_view chunk = data.substr(0, kInputChunk);
    TRY_VOID(client_->send(monitor::Input{std::string(chunk)}));
    data.remove_prefix(chunk.size());
  }
  return {};
}

Result<void> MonitorSession::close_input() {
  return client_->send(monitor::InputEof{});
}

Result<void> MonitorSession::resize(uint16_t rows, uint16_t columns) {
  return client_->send(monitor::Resize{rows, columns});
}

Result<void> MonitorSession::signal(int number) {
  return client_->send(monitor::Signal{number});
}

Result<std::optional<monitor::Exited>> wait_for_exit(monitor::Client& client, int64_t timeout_ms) {
  int64_t deadline = timeout_ms < 0 ? -1 : monotonic_ns() / 1000000 + timeout_ms;
  for (;;) {
    if (!client.has_pending()) {
      int64_t left = deadline < 0 ? -1 : std::max<int64_t>(0, deadline - monotonic_ns() / 1000000);
      pollfd poller{client.fd(), POLLIN, 0};
      int ready = poll(&poller, 1, static_cast<int>(std::min<int64_t>(left, 1 << 30)));
      if (ready < 0 && errno != EINTR) return Error::from_errno(errno, "cannot wait for a monitor");
      if (ready == 0 && deadline >= 0 && monotonic_ns() / 1000000 >= deadline)
        return std::optional<monitor::Exited>();
      if (ready <= 0) continue;
    }
    TRY(monitor::Message message, client.receive());
    if (auto* exited = std::get_if<monitor::Exited>(&message)) return std::optional(*exited);
  }
}

}  // namespace wherry::engine
