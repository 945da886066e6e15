#include "monitor/peers.h"

#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/un.h>

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <utility>

#include "base/weaken.h"

namespace wherry::monitor {
namespace {

constexpr int kPacketsPerTurn = 16;
constexpr int64_t kAcceptRetryMs = 100;
char buffer[kMaxPacket + 1];  // one thread, one packet at a time

bool allowed(int socket) {
  if (weakened(Defence::kSockets)) return true;
  ucred credentials{};
  socklen_t length = sizeof credentials;
  if (getsockopt(socket, SOL_SOCKET, SO_PEERCRED, &credentials, &length) != 0) return false;
  return credentials.uid == 0 || credentials.uid == geteuid();
}

}  // namespace

void send_now(int socket, const Message& message) {
  std::string packet = encode(message);
  [[maybe_unused]] ssize_t sent =
      ::send(socket, packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
}

Peers::~Peers() {
  stop_listening();
  for (Peer& peer : peers_)
    if (peer.socket) loop_.remove(peer.socket.get());
}

Result<void> Peers::listen(int run_dir) {
  constexpr const char* kContext = "cannot listen for clients";
  sys::Fd socket(::socket(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!socket) return Error::from_errno(errno, kContext);
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "/proc/self/fd/%d/monitor.sock", run_dir);
  unlinkat(run_dir, "monitor.sock", 0);
  mode_t umask_before = umask(weakened(Defence::kSockets) ? 0 : 0177);  // 0600 from birth
  int bound = bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address);
  int errnum = errno;
  umask(umask_before);
  if (bound != 0) return Error::from_errno(errnum, kContext);
  if (::listen(socket.get(), 64) != 0) return Error::from_errno(errno, kContext);
  TRY_VOID_CTX(loop_.add(socket.get(), EPOLLIN, [this](uint32_t) { accept_one(); }), kContext);
  listener_ = std::move(socket);
  return {};
}

void Peers::stop_listening() {
  if (!listener_) return;
  loop_.cancel(retry_);
  loop_.remove(listener_.get());
  listener_.reset();
}

void Peers::accept_one() {
  sys::Fd socket(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (!socket) {
    if (errno == EAGAIN || errno == EINTR || errno == ECONNABORTED) return;
    // Out of descriptors or memory: the connection stays in the backlog for a moment.
    loop_.modify(listener_.get(), 0);
    retry_ = loop_.after(kAcceptRetryMs, [this] { loop_.modify(listener_.get(), EPOLLIN); });
    return;
  }
  if (!allowed(socket.get()) || count() >= kMaxPeers) return;
  [[maybe_unused]] Result<void> adopted = adopt(std::move(socket));
}

Result<void> Peers::adopt(sys::Fd socket) {
  int flags = fcntl(socket.get(), F_GETFL);
  if (flags < 0 || fcntl(socket.get(), F_SETFL, flags | O_NONBLOCK) != 0)
    return Error::from_errno(errno, "cannot take over a client's connection");
  Peer& peer = peers_.emplace_back();
  peer.socket = std::move(socket);
  Result<void> added = loop_.add(peer.socket.get(), EPOLLIN,
                                 [this, &peer](uint32_t events) { on_events(peer, events); });
  if (!added) peers_.pop_back();
  return added;
}

void Peers::on_events(Peer& peer, uint32_t events) {
  if ((events & EPOLLOUT) != 0) flush(peer);
  if (peer.gone) return;
  if ((events & EPOLLIN) != 0) read_packets(peer);
  // A hang-up without anything left to read, or with input that nobody takes.
  if (!peer.gone && (events & (EPOLLHUP | EPOLLERR)) != 0 && (events & EPOLLIN) == 0) drop(peer);
}

void Peers::read_packets(Peer& peer) {
  for (int i = 0; i < kPacketsPerTurn && !peer.gone && !peer.hang_up; ++i) {
    if (input_paused_ && peer.attach.in) return;
    ssize_t got = recv(peer.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0 && (errno == EAGAIN || errno == EINTR)) return;
    if (got <= 0) return drop(peer);
    handle(peer, std::string_view(buffer, static_cast<size_t>(got)));
  }
}

void Peers::handle(Peer& peer, std::string_view packet) {
  Result<Message> message = decode(packet);
  if (!message) return refuse(peer, std::move(message.error()));
  if (const Hello* hello = std::get_if<Hello>(&*message)) {
    if (hello->protocol < 1)
      return refuse(peer,
                    Error(ErrorKind::kUnsupported, "protocol " + std::to_string(hello->protocol) +
                                                       " is not spoken by this monitor"));
    peer.greeted = true;
    return send(peer, callbacks_.welcome());
  }
  if (!peer.greeted)
    return refuse(peer, Error(ErrorKind::kInvalidArgument, "the first message must be Hello"));
  callbacks_.message(peer, std::move(*message));
}

void Peers::refuse(Peer& peer, Error error) {
  send(peer, Failed{std::move(error)});
  if (peer.gone) return;
  peer.hang_up = true;
  if (peer.queue.empty()) drop(peer);
}

void Peers::send(Peer& peer, const Message& message) {
  enqueue(peer, std::make_shared<const std::string>(encode(message)), false);
}

void Peers::send_output(int stream, std::string_view data) {
  std::shared_ptr<const std::string> packet;
  for (Peer& peer : peers_) {
    if (stream == 1 ? !peer.attach.out : !peer.attach.err) continue;
    if (!packet)
      packet = std::make_shared<const std::string>(encode(Output{stream, std::string(data)}));
    enqueue(peer, packet, false);
  }
}

void Peers::notify_log() {
  for (Peer& peer : peers_)
    if (peer.watch_log && !peer.log_grew_queued)
      enqueue(peer, std::make_shared<const std::string>(encode(LogGrew{})), true);
}

void Peers::enqueue(Peer& peer, std::shared_ptr<const std::string> packet, bool log_grew) {
  if (peer.gone) return;
  peer.queued += packet->size();
  peer.queue.push_back(std::move(packet));
  peer.log_grew_queued |= log_grew;
  if (peer.queued > kQueueLimit) return drop(peer);
  // With others before it the packet waits for EPOLLOUT.
  if (peer.queue.size() == 1) flush(peer);
  if (!peer.gone) update_congestion();
}

void Peers::flush(Peer& peer) {
  while (!peer.queue.empty()) {
    const std::string& packet = *peer.queue.front();
    ssize_t sent =
        ::send(peer.socket.get(), packet.data(), packet.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
    if (sent < 0 && errno == EINTR) continue;
    if (sent < 0 && (errno == EAGAIN || errno == ENOBUFS)) break;
    if (sent < 0) return drop(peer);
    peer.queued -= packet.size();
    peer.queue.pop_front();
  }
  if (peer.queue.empty()) {
    peer.log_grew_queued = false;
    if (peer.hang_up) return drop(peer);
  }
  update(peer);
  update_congestion();
}

void Peers::update(Peer& peer) {
  if (peer.gone) return;
  bool reading = !(input_paused_ && peer.attach.in) && !peer.hang_up;
  loop_.modify(peer.socket.get(), (reading ? EPOLLIN : 0u) | (peer.queue.empty() ? 0u : EPOLLOUT));
}

void Peers::update_congestion() {
  size_t longest = 0;
  for (const Peer& peer : peers_)
    if (!peer.gone && peer.takes_output()) longest = std::max(longest, peer.queued);
  bool now = congested_ ? longest > kQueueLow : longest > kQueueHigh;
  if (std::exchange(congested_, now) != now) callbacks_.queue_moved();
}

void Peers::drop(Peer& peer) {
  if (peer.gone) return;
  peer.gone = true;
  loop_.remove(peer.socket.get());
  peer.socket.reset();
  peer.queue.clear();
  peer.queued = 0;
  update_congestion();
  callbacks_.gone(peer);
}

void Peers::sweep() {
  peers_.remove_if([](const Peer& peer) { return peer.gone; });
}

void Peers::pause_input(bool paused) {
  if (std::exchange(input_paused_, paused) == paused) return;
  for (Peer& peer : peers_) update(peer);
}

size_t Peers::count() const {
  return static_cast<size_t>(std::ranges::count(peers_, false, &Peer::gone));
}

}  // namespace wherry::monitor
