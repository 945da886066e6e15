// The published ports of one container: held open from bind() on, served from serve() on.
#pragma once

#include <memory>
#include <vector>

#include "monitor/tcp_relay.h"
#include "monitor/udp_relay.h"

namespace wherry::monitor {

class PortRelay {
 public:
  explicit PortRelay(EventLoop& loop) : loop_(loop) {}

  // Takes all host ports or none. Errors as bind_port.
  Result<void> bind(const std::vector<PublishedPort>& ports);
  // Begins to relay; connections made since bind() waited in the backlog.
  Result<void> serve();
  // Ends all connections and frees the ports.
  void close();

 private:
  EventLoop& loop_;
  std::vector<std::unique_ptr<TcpRelay>> tcp_;
  std::vector<std::unique_ptr<UdpRelay>> udp_;
};

}  // namespace wherry::monitor
