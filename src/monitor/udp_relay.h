// Relays datagrams of one bound socket to one address: one session, with a socket of its own, for
// each client address and local address, so that answers come from where the client asked. A
// session ends after 90 idle seconds; the idlest one makes room for the 1025th.
#pragma once

#include <map>
#include <memory>
#include <string>

#include "monitor/event_loop.h"
#include "monitor/port_socket.h"

namespace wherry::monitor {

class UdpRelay {
 public:
  static constexpr size_t kMaxSessions = 1024;
  static constexpr int64_t kIdleMs = 90'000;

  UdpRelay(EventLoop& loop, sys::Fd socket, const SocketAddress& target, int64_t idle_ms = kIdleMs)
      : loop_(loop), socket_(std::move(socket)), target_(target), idle_ms_(idle_ms) {}
  UdpRelay(const UdpRelay&) = delete;
  UdpRelay& operator=(const UdpRelay&) = delete;
  ~UdpRelay();

  Result<void> serve();
  size_t sessions() const { return sessions_.size(); }

 private:
  struct Session {
    SocketAddress client;
    std::string local;  // control message that gives our address as the source of answers
    sys::Fd socket;
    int64_t last_ns = 0;
  };

  void on_client_datagram();
  void on_answer(Session& session);
  Session* session_for(const SocketAddress& client, std::string local);
  std::unique_ptr<Session> open_session();
  void end_session(std::map<std::string, std::unique_ptr<Session>>::iterator session);
  void end_idlest();
  void schedule_sweep();
  void sweep();

  EventLoop& loop_;
  sys::Fd socket_;
  SocketAddress target_;
  int64_t idle_ms_;
  std::map<std::string, std::unique_ptr<Session>> sessions_;
  EventLoop::Timer sweep_timer_ = 0;
};

}  // namespace wherry::monitor
