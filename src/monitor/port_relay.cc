#include "monitor/port_relay.h"

namespace wherry::monitor {

Result<void> PortRelay::bind(const std::vector<PublishedPort>& ports) {
  for (const PublishedPort& port : ports) {
    Result<std::optional<sys::Fd>> bound = bind_port(port);
    if (!bound) {
      close();
      return std::move(bound.error());
    }
    if (!*bound) continue;
    SocketAddress target = container_address(port);
    if (port.protocol == "tcp")
      tcp_.push_back(std::make_unique<TcpRelay>(loop_, std::move(**bound), target));
    else
      udp_.push_back(std::make_unique<UdpRelay>(loop_, std::move(**bound), target));
  }
  return {};
}

Result<void> PortRelay::serve() {
  for (auto& relay : tcp_) TRY_VOID(relay->serve());
  for (auto& relay : udp_) TRY_VOID(relay->serve());
  return {};
}

void PortRelay::close() {
  tcp_.clear();
  udp_.clear();
}

}  // namespace wherry::monitor
