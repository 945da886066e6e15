#include "monitor/udp_relay.h"

#include <algorithm>
#include <cerrno>
#include <cstring>

#include "base/clock.h"

namespace wherry::monitor {
namespace {

constexpr int kDatagramsPerTurn = 64;
constexpr size_t kControlSize = CMSG_SPACE(sizeof(in6_pktinfo));
char buffer[64 * 1024];  // no datagram is longer

// From what recvmsg says about a datagram's destination: the control message that makes an answer
// leave from that address.
std::string answer_control(msghdr& received) {
  for (cmsghdr* item = CMSG_FIRSTHDR(&received); item != nullptr;
       item = CMSG_NXTHDR(&received, item)) {
    bool v4 = item->cmsg_level == IPPROTO_IP && item->cmsg_type == IP_PKTINFO;
    bool v6 = item->cmsg_level == IPPROTO_IPV6 && item->cmsg_type == IPV6_PKTINFO;
    if (!v4 && !v6) continue;
    alignas(cmsghdr) char control[kControlSize] = {};
    size_t size = v4 ? sizeof(in_pktinfo) : sizeof(in6_pktinfo);
    auto* answer = reinterpret_cast<cmsghdr*>(control);
    answer->cmsg_level = item->cmsg_level;
    answer->cmsg_type = item->cmsg_type;
    answer->cmsg_len = CMSG_LEN(size);
    if (v4) {
      in_pktinfo info{};
      memcpy(&info, CMSG_DATA(item), sizeof info);
      info.ipi_ifindex = 0;  // the route decides
      memcpy(CMSG_DATA(answer), &info, sizeof info);
    } else {
      in6_pktinfo info{};
      memcpy(&info, CMSG_DATA(item), sizeof info);
      if (!IN6_IS_ADDR_LINKLOCAL(&info.ipi6_addr)) info.ipi6_ifindex = 0;
      memcpy(CMSG_DATA(answer), &info, sizeof info);
    }
    return std::string(control, CMSG_SPACE(size));
  }
  return {};
}

}  // namespace

UdpRelay::~UdpRelay() {
  while (!sessions_.empty()) end_session(sessions_.begin());
  loop_.cancel(sweep_timer_);
  if (socket_) loop_.remove(socket_.get());
}

Result<void> UdpRelay::serve() {
  return loop_.add(socket_.get(), EPOLLIN, [this](uint32_t) { on_client_datagram(); });
}

void UdpRelay::on_client_datagram() {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    SocketAddress client;
    alignas(cmsghdr) char control[kControlSize];
    iovec data{buffer, sizeof buffer};
    msghdr message{};
    message.msg_name = &client.storage;
    message.msg_namelen = sizeof client.storage;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    message.msg_control = control;
    message.msg_controllen = sizeof control;
    ssize_t got = recvmsg(socket_.get(), &message, MSG_DONTWAIT);
    if (got < 0) return;  // EAGAIN, or an ICMP error of an earlier answer
    client.length = message.msg_namelen;
    Session* session = session_for(client, answer_control(message));
    if (session == nullptr) continue;  // as lost as on any network
    session->last_ns = monotonic_ns();
    [[maybe_unused]] ssize_t sent = ::send(session->socket.get(), buffer, static_cast<size_t>(got),
                                           MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

UdpRelay::Session* UdpRelay::session_for(const SocketAddress& client, std::string local) {
  std::string key = client.key() + local;
  auto found = sessions_.find(key);
  if (found != sessions_.end()) return found->second.get();
  if (sessions_.size() >= kMaxSessions) end_idlest();
  std::unique_ptr<Session> session = open_session();
  if (!session) return nullptr;
  session->client = client;
  session->local = std::move(local);
  schedule_sweep();
  return sessions_.emplace(std::move(key), std::move(session)).first->second.get();
}

std::unique_ptr<UdpRelay::Session> UdpRelay::open_session() {
  auto session = std::make_unique<Session>();
  session->socket.reset(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC | SOCK_NONBLOCK, 0));
  if (!session->socket) return nullptr;
  if (connect(session->socket.get(), target_.get(), target_.length) != 0) return nullptr;
  Session* raw = session.get();
  Result<void> added =
      loop_.add(raw->socket.get(), EPOLLIN, [this, raw](uint32_t) { on_answer(*raw); });
  return added ? std::move(session) : nullptr;
}

void UdpRelay::on_answer(Session& session) {
  for (int i = 0; i < kDatagramsPerTurn; ++i) {
    ssize_t got = recv(session.socket.get(), buffer, sizeof buffer, MSG_DONTWAIT);
    if (got < 0) return;  // EAGAIN, or nobody listens in the container (yet)
    session.last_ns = monotonic_ns();
    iovec data{buffer, static_cast<size_t>(got)};
    msghdr message{};
    message.msg_name = &session.client.storage;
    message.msg_namelen = session.client.length;
    message.msg_iov = &data;
    message.msg_iovlen = 1;
    if (!session.local.empty()) {
      message.msg_control = session.local.data();
      message.msg_controllen = session.local.size();
    }
    [[maybe_unused]] ssize_t sent = sendmsg(socket_.get(), &message, MSG_NOSIGNAL | MSG_DONTWAIT);
  }
}

void UdpRelay::end_session(std::map<std::string, std::unique_ptr<Session>>::iterator session) {
  loop_.remove(session->second->socket.get());
  sessions_.erase(session);
}

void UdpRelay::end_idlest() {
  end_session(std::ranges::min_element(sessions_, {},
                                       [](const auto& item) { return item.second->last_ns; }));
}

void UdpRelay::schedule_sweep() {
  if (sweep_timer_ != 0) return;
  sweep_timer_ = loop_.after(std::max<int64_t>(idle_ms_ / 3, 1), [this] { sweep(); });
}

void UdpRelay::sweep() {
  sweep_timer_ = 0;
  int64_t oldest = monotonic_ns() - idle_ms_ * 1'000'000;
  for (auto session = sessions_.begin(); session != sessions_.end();) {
    auto next = std::next(session);
    if (session->second->last_ns < oldest) end_session(session);
    session = next;
  }
  if (!sessions_.empty()) schedule_sweep();
}

}  // namespace wherry::monitor
