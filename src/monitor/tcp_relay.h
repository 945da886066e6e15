// Relays the TCP connections of one listening socket to one address, with half-close: what one side
// ends the other side sees as end of file while the opposite direction goes on. A reset is passed
// on as one.
#pragma once

#include <list>
#include <string>

#include "monitor/event_loop.h"
#include "monitor/port_socket.h"

namespace wherry::monitor {

class TcpRelay {
 public:
  static constexpr size_t kMaxConnections = 4096;  // more wait in the backlog

  // Takes the listening socket; nothing is accepted before serve().
  TcpRelay(EventLoop& loop, sys::Fd listener, const SocketAddress& target)
      : loop_(loop), listener_(std::move(listener)), target_(target) {}
  TcpRelay(const TcpRelay&) = delete;
  TcpRelay& operator=(const TcpRelay&) = delete;
  ~TcpRelay();

  Result<void> serve();
  size_t connections() const { return connections_.size(); }

 private:
  struct End {
    sys::Fd socket;
    std::string unsent;      // bytes from the other end that this one has not taken yet
    bool read_end = false;   // end of file was read from it
    bool write_end = false;  // it has been told the end of file
  };
  struct Connection {
    End ends[2];  // client, container
    bool connecting = true;
    std::list<Connection>::iterator self;
  };

  void on_listener();
  void open_connection(sys::Fd client);
  void on_events(Connection& connection, int side, uint32_t events);
  bool finish_connect(Connection& connection);
  bool pump(Connection& connection, int from);  // false: the connection is broken
  bool send_unsent(Connection& connection, int to);
  void update(Connection& connection);
  void close(Connection& connection, bool reset);
  void listen_again();

  EventLoop& loop_;
  sys::Fd listener_;
  SocketAddress target_;
  std::list<Connection> connections_;
  EventLoop::Timer retry_ = 0;
};

}  // namespace wherry::monitor
