#include "monitor/tcp_relay.h"

#include <netinet/tcp.h>

#include <cerrno>

namespace wherry::monitor {
namespace {

constexpr int64_t kAcceptRetryMs = 100;
char buffer[64 * 1024];  // one thread: only what the other end does not take is kept per connection

void reset_on_close(int socket) {
  linger now{1, 0};
  setsockopt(socket, SOL_SOCKET, SO_LINGER, &now, sizeof now);
}

}  // namespace

TcpRelay::~TcpRelay() {
  while (!connections_.empty()) close(connections_.front(), true);
  loop_.cancel(retry_);
  loop_.remove(listener_.get());
}

Result<void> TcpRelay::serve() {
  return loop_.add(listener_.get(), EPOLLIN, [this](uint32_t) { on_listener(); });
}

void TcpRelay::listen_again() {
  loop_.modify(listener_.get(), EPOLLIN);
}

void TcpRelay::on_listener() {
  if (connections_.size() >= kMaxConnections) return loop_.modify(listener_.get(), 0);
  sys::Fd client(accept4(listener_.get(), nullptr, nullptr, SOCK_CLOEXEC | SOCK_NONBLOCK));
  if (client) return open_connection(std::move(client));
  if (errno != EMFILE && errno != ENFILE && errno != ENOBUFS && errno != ENOMEM) return;
  loop_.modify(listener_.get(), 0);
  retry_ = loop_.after(kAcceptRetryMs, [this] { listen_again(); });
}

void TcpRelay::open_connection(sys::Fd client) {
  sys::Fd server(::socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  int connected = server ? connect(server.get(), target_.get(), target_.length) : -1;
  if (connected != 0 && errno != EINPROGRESS) return reset_on_close(client.get());
  int on = 1;
  for (int socket : {client.get(), server.get()})
    setsockopt(socket, IPPROTO_TCP, TCP_NODELAY, &on, sizeof on);
  auto added = connections_.emplace(connections_.end());
  added->self = added;
  added->ends[0].socket = std::move(client);
  added->ends[1].socket = std::move(server);
  update(*added);
}

// Level-triggered hang-ups would spin: an end nothing is wanted from is not watched at all.
void TcpRelay::update(Connection& connection) {
  for (int side = 0; side < 2; ++side) {
    End& end = connection.ends[side];
    const End& other = connection.ends[1 - side];
    uint32_t events = 0;
    if (!end.read_end && other.unsent.empty() && !connection.connecting) events |= EPOLLIN;
    if (!end.unsent.empty() || (side == 1 && connection.connecting)) events |= EPOLLOUT;
    int fd = end.socket.get();
    if (events == 0) {
      loop_.remove(fd);
    } else if (loop_.watches(fd)) {
      loop_.modify(fd, events);
    } else if (!loop_.add(fd, events, [this, &connection, side](uint32_t happened) {
                 on_events(connection, side, happened);
               })) {
      return close(connection, true);
    }
  }
}

void TcpRelay::on_events(Connection& connection, int side, uint32_t events) {
  if (connection.connecting && !finish_connect(connection)) return close(connection, true);
  bool whole = true;
  if ((events & EPOLLOUT) != 0) whole = send_unsent(connection, side);
  if (whole && (events & (EPOLLIN | EPOLLHUP | EPOLLERR)) != 0 && !connection.ends[side].read_end &&
      connection.ends[1 - side].unsent.empty())
    whole = pump(connection, side);
  // An error with nothing left to read from this end.
  if ((events & EPOLLERR) != 0 && connection.ends[side].read_end) whole = false;
  if (!whole) return close(connection, true);
  if (connection.ends[0].write_end && connection.ends[1].write_end) return close(connection, false);
  update(connection);
}

bool TcpRelay::finish_connect(Connection& connection) {
  int errnum = 0;
  socklen_t length = sizeof errnum;
  if (getsockopt(connection.ends[1].socket.get(), SOL_SOCKET, SO_ERROR, &errnum, &length) != 0)
    return false;
  connection.connecting = false;
  return errnum == 0;
}

bool TcpRelay::pump(Connection& connection, int from) {
  End& source = connection.ends[from];
  End& sink = connection.ends[1 - from];
  ssize_t got = recv(source.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
  if (got < 0) return errno == EAGAIN || errno == EINTR;
  if (got == 0) {
    source.read_end = true;
    sink.write_end = true;
    return shutdown(sink.socket.get(), SHUT_WR) == 0;
  }
  size_t size = static_cast<size_t>(got);
  ssize_t sent = send(sink.socket.get(), buffer, size, MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0 && errno != EAGAIN && errno != EINTR) return false;
  size_t done = sent < 0 ? 0 : static_cast<size_t>(sent);
  if (done < size) sink.unsent.assign(buffer + done, size - done);
  return true;
}

bool TcpRelay::send_unsent(Connection& connection, int to) {
  End& sink = connection.ends[to];
  if (sink.unsent.empty()) return true;
  ssize_t sent =
      send(sink.socket.get(), sink.unsent.data(), sink.unsent.size(), MSG_NOSIGNAL | MSG_DONTWAIT);
  if (sent < 0) return errno == EAGAIN || errno == EINTR;
  sink.unsent.erase(0, static_cast<size_t>(sent));
  if (sink.unsent.empty()) sink.unsent.shrink_to_fit();
  return true;
}

void TcpRelay::close(Connection& connection, bool reset) {
  for (End& end : connection.ends) {
    loop_.remove(end.socket.get());
    if (reset) reset_on_close(end.socket.get());
  }
  connections_.erase(connection.self);
  listen_again();
}

}  // namespace wherry::monitor
