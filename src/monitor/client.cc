#include "monitor/client.h"

#include <poll.h>
#include <sys/socket.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>

#include "base/trace.h"
#include "monitor/permit.h"
#include "sys/process.h"

namespace wherry::monitor {
namespace {

constexpr size_t kMaxKept = 4u << 20;
// A monitor answers within a millisecond; one that takes this long is stopped or stuck.
constexpr int kWelcomeTimeoutMs = 5000;

Error gone() {
  return Error(ErrorKind::kUnavailable, "the monitor has closed the connection");
}

Result<void> wait_for_answer(int socket) {
  pollfd waiting{socket, POLLIN, 0};
  int ready = 0;
  do ready = poll(&waiting, 1, kWelcomeTimeoutMs);
  while (ready < 0 && errno == EINTR);
  if (ready < 0) return Error::from_errno(errno, "cannot wait for the monitor");
  if (ready > 0) return {};
  return Error(ErrorKind::kUnavailable, "the monitor does not answer").set_errnum(ETIMEDOUT);
}

bool is_answer(const Message& message) {
  return std::holds_alternative<Done>(message) || std::holds_alternative<Started>(message) ||
         std::holds_alternative<Failed>(message);
}

Result<void> result_of(Message&& answer) {
  if (Failed* failed = std::get_if<Failed>(&answer)) return std::move(failed->error);
  return {};
}

Result<void> give_permit(int launcher, const std::function<Result<void>()>& permit) {
  TRY_VOID(permit());
  send_permit(launcher);
  return {};
}

size_t kept_size(const Message& message) {
  const Output* output = std::get_if<Output>(&message);
  return sizeof(Message) + (output != nullptr ? output->data.size() : 0);
}

}  // namespace

Result<Client> Client::launch(const MonitorConfig& config, Standby standby) {
  return launch_with(config, std::move(standby), {}, nullptr);
}

Result<Client> Client::run(const MonitorConfig& config, Standby standby,
                           const std::vector<Message>& first,
                           const std::function<Result<void>()>& permit) {
  std::vector<Message> words = first;
  words.emplace_back(Start{});
  TRY(Client client, launch_with(config, std::move(standby), words, permit));
  Result<void> started = client.expect_answer();
  if (started) return client;
  // Whoever asked undoes everything itself: no need for the monitor to settle.
  [[maybe_unused]] Result<void> told = client.send(Settled{});
  return std::move(started.error());
}

Result<Client> Client::launch_with(const MonitorConfig& config, Standby standby,
                                   const std::vector<Message>& first,
                                   const std::function<Result<void>()>& permit) {
  TraceScope scope("launch monitor");
  sys::Fd launcher = std::move(standby.document_);
  Client client{std::move(standby.socket_)};
  send_document(launcher.get(), to_bytes(config));
  TRY(sys::Child child, standby.spawning_.finish());
  Result<void> said = client.send(Hello{});
  for (const Message& message : first)
    if (said) said = client.send(message);
  // One that has ended meanwhile has said why.
  const bool may_go_on = said || said.error().kind() == ErrorKind::kUnavailable;
  Result<void> permitted = may_go_on ? Result<void>() : std::move(said);
  if (permitted && permit) permitted = give_permit(launcher.get(), permit);
  launcher.reset();
  Result<Message> answer = client.receive();
  const bool answered = answer.has_value();
  Result<void> welcomed =
      answered ? client.take_welcome(std::move(*answer)) : std::move(answer.error());
  if (welcomed) {
    child.detach();
    return client;
  }
  // It ends by itself: it has undone everything and has told why, or it has died.
  client.socket_.reset();
  Result<int> code = child.wait();
  if (!permitted) return std::move(permitted.error());
  if (!answered && welcomed.error().kind() == ErrorKind::kUnavailable && code)
    return Error(ErrorKind::kInternal,
                 "the monitor ended with code " + std::to_string(*code) + " before it was ready");
  return std::move(welcomed.error());
}

Result<Client> Client::connect(int run_dir_fd) {
  constexpr const char* kContext = "cannot connect to the monitor";
  sys::Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0));
  if (!socket) return Error::from_errno(errno, kContext);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor.sock", run_dir_fd);
  if (::connect(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address) != 0) {
    if (errno == ENOENT || errno == ECONNREFUSED)
      return Error(ErrorKind::kNotFound, "no monitor listens").set_errnum(errno);
    return Error::from_errno(errno, kContext);
  }
  Client client(std::move(socket));
  TRY_VOID(client.send(Hello{}));
  TRY_VOID_CTX(wait_for_answer(client.fd()), kContext);
  TRY_VOID_CTX(client.expect_welcome(), kContext);
  return client;
}

Result<void> Client::expect_welcome() {
  TRY(Message message, receive());
  return take_welcome(std::move(message));
}

Result<void> Client::take_welcome(Message message) {
  if (is_answer(message)) return result_of(std::move(message));
  Welcome* welcome = std::get_if<Welcome>(&message);
  if (welcome == nullptr) return Error(ErrorKind::kCorrupt, "the monitor did not say welcome");
  if (welcome->protocol < kProtocolVersion - 1 || welcome->protocol > kProtocolVersion)
    return Error(ErrorKind::kUnsupported, "the monitor speaks protocol " +
                                              std::to_string(welcome->protocol) + ", not " +
                                              std::to_string(kProtocolVersion));
  welcome_ = std::move(*welcome);
  return {};
}

// While the monitor does not take a message, what it sends is kept: otherwise both could wait for
// ever.
Result<void> Client::send(const Message& message) {
  std::string packet = encode(message);
  if (packet.size() > kMaxPacket)
    return Error(ErrorKind::kInvalidArgument, "a message for the monitor is too long");
  for (;;) {
    ssize_t sent = ::send(socket_.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent >= 0) return {};
    if (errno == EINTR) continue;
    if (errno == EPIPE || errno == ECONNRESET) return gone();
    if (errno != EAGAIN) return Error::from_errno(errno, "cannot speak to the monitor");
    TRY_VOID(wait_until_writable());
  }
}

Result<void> Client::wait_until_writable() {
  size_t kept = 0;
  for (const Message& message : pending_) kept += kept_size(message);
  short events = kept < kMaxKept ? POLLOUT | POLLIN : POLLOUT;
  pollfd poll_fd{socket_.get(), events, 0};
  if (poll(&poll_fd, 1, -1) < 0 && errno != EINTR)
    return Error::from_errno(errno, "cannot wait for the monitor");
  if ((poll_fd.revents & POLLIN) == 0) return {};
  TRY(Message message, read_message());
  pending_.push_back(std::move(message));
  return {};
}

Result<Message> Client::receive() {
  if (pending_.empty()) return read_message();
  Message message = std::move(pending_.front());
  pending_.erase(pending_.begin());
  return message;
}

Result<Message> Client::read_message() {
  if (buffer_.empty()) buffer_.resize(kMaxPacket);
  for (;;) {
    ssize_t got = recv(socket_.get(), buffer_.data(), buffer_.size(), MSG_TRUNC);
    if (got > static_cast<ssize_t>(buffer_.size()))
      return Error(ErrorKind::kCorrupt, "the monitor sent a message that is too long");
    if (got > 0) return decode(std::string_view(buffer_.data(), static_cast<size_t>(got)));
    if (got == 0) return gone();
    // A monitor that ended without having read all of ours: reported once, before what it sent
    // last.
    if (errno == EINTR || errno == ECONNRESET) continue;
    return Error::from_errno(errno, "cannot hear the monitor");
  }
}

Result<void> Client::call(const Message& message) {
  TRY_VOID(send(message));
  const bool answered = std::holds_alternative<Start>(message) ||
                        std::holds_alternative<Signal>(message) ||
                        std::holds_alternative<ThawIfGone>(message);
  return answered ? expect_answer() : Result<void>();
}

Result<void> Client::expect_answer() {
  for (;;) {
    TRY(Message answer, read_message());
    if (is_answer(answer)) return result_of(std::move(answer));
    pending_.push_back(std::move(answer));
  }
}

}  // namespace wherry::monitor
