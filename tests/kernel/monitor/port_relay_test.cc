// The port relay in a network namespace of its own: clients reach [127.0.0.1 or ::1]:port, the
// "container" is 127.0.0.2.
#include "monitor/port_relay.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <gtest/gtest.h>
#include <net/if.h>
#include <poll.h>
#include <sched.h>
#include <sys/eventfd.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include <cstring>
#include <thread>

namespace wherry::monitor {
namespace {

constexpr uint32_t kContainer = 0x7f000002;
constexpr int kTimeoutMs = 20'000;

// The calling thread's namespace; threads made later share it.
void enter_own_network() {
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  sys::Fd socket(::socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq request{};
  strcpy(request.ifr_name, "lo");
  request.ifr_flags = IFF_UP;
  ASSERT_EQ(ioctl(socket.get(), SIOCSIFFLAGS, &request), 0);
}

SocketAddress address_of(const std::string& ip, uint16_t port) {
  return *socket_address(ip, port);
}

void set_timeout(int fd) {
  timeval limit{kTimeoutMs / 1000, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
}

sys::Fd bound(int type, const std::string& ip, uint16_t port) {
  SocketAddress address = address_of(ip, port);
  sys::Fd socket(::socket(address.family(), type | SOCK_CLOEXEC, 0));
  int on = 1;
  setsockopt(socket.get(), SOL_SOCKET, SO_REUSEADDR, &on, sizeof on);
  EXPECT_EQ(bind(socket.get(), address.get(), address.length), 0);
  if (type == SOCK_STREAM) {
    EXPECT_EQ(listen(socket.get(), 16), 0);
  }
  set_timeout(socket.get());
  return socket;
}

sys::Fd connected(int type, const std::string& ip, uint16_t port) {
  SocketAddress address = address_of(ip, port);
  sys::Fd socket(::socket(address.family(), type | SOCK_CLOEXEC, 0));
  EXPECT_EQ(connect(socket.get(), address.get(), address.length), 0) << strerror(errno);
  set_timeout(socket.get());
  return socket;
}

std::string receive_all(int fd) {
  std::string all;
  char buffer[65536];
  for (;;) {
    ssize_t got = recv(fd, buffer, sizeof buffer, 0);
    if (got <= 0) {
      EXPECT_EQ(got, 0) << strerror(errno);
      return all;
    }
    all.append(buffer, static_cast<size_t>(got));
  }
}

std::string receive_one(int fd, SocketAddress* from = nullptr) {
  char buffer[65536];
  SocketAddress ignored;
  SocketAddress& source = from ? *from : ignored;
  source.length = sizeof source.storage;
  ssize_t got = recvfrom(fd, buffer, sizeof buffer, 0, source.get(), &source.length);
  EXPECT_GE(got, 0) << strerror(errno);
  return got < 0 ? "" : std::string(buffer, static_cast<size_t>(got));
}

class PortRelayTest : public testing::Test {
 protected:
  void SetUp() override {
    enter_own_network();
    stop_.reset(eventfd(0, EFD_CLOEXEC));
    ASSERT_TRUE(loop_.add(stop_.get(), EPOLLIN, [this](uint32_t) { stopping_ = true; }));
  }
  void TearDown() override {
    stop();
    relay_.close();
  }
  void serve(const std::vector<PublishedPort>& ports) {
    Result<void> bound = relay_.bind(ports);
    ASSERT_TRUE(bound) << bound.error().message();
    ASSERT_TRUE(relay_.serve());
    thread_ = std::thread([this] {
      while (!stopping_) ASSERT_TRUE(loop_.run_once());
    });
  }
  void stop() {
    if (!thread_.joinable()) return;
    uint64_t one = 1;
    ASSERT_EQ(write(stop_.get(), &one, sizeof one), static_cast<ssize_t>(sizeof one));
    thread_.join();
  }

  EventLoop loop_ = std::move(*EventLoop::create());
  sys::Fd stop_;
  bool stopping_ = false;
  PortRelay relay_{loop_};
  std::thread thread_;
};

TEST_F(PortRelayTest, CarriesBytesBothWaysAndHalfCloses) {
  sys::Fd server = bound(SOCK_STREAM, "127.0.0.2", 80);
  serve({{"tcp", "0.0.0.0", 8080, kContainer, 80}});
  sys::Fd client = connected(SOCK_STREAM, "127.0.0.1", 8080);
  sys::Fd accepted(accept(server.get(), nullptr, nullptr));
  set_timeout(accepted.get());
  // More than all buffers on the way hold, so that the relay has to wait for both ends.
  std::string request(8u << 20, 'q');
  std::thread sender([&] {
    ASSERT_TRUE(sys::write_all(client.get(), request));
    shutdown(client.get(), SHUT_WR);
  });
  EXPECT_EQ(receive_all(accepted.get()), request);
  sender.join();
  // The client has ended its half; the answer still goes through.
  std::string answer(4u << 20, 'a');
  std::thread answerer([&] {
    ASSERT_TRUE(sys::write_all(accepted.get(), answer));
    accepted.reset();
  });
  EXPECT_EQ(receive_all(client.get()), answer);
  answerer.join();
}

TEST_F(PortRelayTest, ServesIpv6ClientsOfAnIpv4Container) {
  sys::Fd server = bound(SOCK_STREAM, "127.0.0.2", 80);
  serve({{"tcp", "0.0.0.0", 8080, kContainer, 80}, {"tcp", "::", 8080, kContainer, 80}});
  sys::Fd client = connected(SOCK_STREAM, "::1", 8080);
  sys::Fd accepted(accept(server.get(), nullptr, nullptr));
  ASSERT_TRUE(sys::write_all(accepted.get(), "six"));
  accepted.reset();
  EXPECT_EQ(receive_all(client.get()), "six");
}

TEST_F(PortRelayTest, ResetsClientsWhenNobodyListensInTheContainer) {
  serve({{"tcp", "0.0.0.0", 8080, kContainer, 81}});
  sys::Fd client = connected(SOCK_STREAM, "127.0.0.1", 8080);
  char byte;
  EXPECT_EQ(recv(client.get(), &byte, 1, 0), -1);
  EXPECT_EQ(errno, ECONNRESET);
}

TEST_F(PortRelayTest, ServesManyConnectionsAtOnce) {
  sys::Fd server = bound(SOCK_STREAM, "127.0.0.2", 80);
  serve({{"tcp", "127.0.0.1", 8080, kContainer, 80}});
  std::vector<sys::Fd> clients, accepted;
  for (int i = 0; i < 100; ++i) {
    clients.push_back(connected(SOCK_STREAM, "127.0.0.1", 8080));
    accepted.emplace_back(accept(server.get(), nullptr, nullptr));
    ASSERT_TRUE(sys::write_all(clients.back().get(), std::to_string(i)));
  }
  for (int i = 0; i < 100; ++i) {
    set_timeout(accepted[i].get());
    EXPECT_EQ(receive_one(accepted[i].get()), std::to_string(i));
  }
}

TEST_F(PortRelayTest, NamesAPortThatIsInUseAndHoldsNone) {
  sys::Fd other = bound(SOCK_STREAM, "127.0.0.1", 8081);
  Result<void> taken = relay_.bind(
      {{"tcp", "0.0.0.0", 8080, kContainer, 80}, {"tcp", "127.0.0.1", 8081, kContainer, 80}});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(taken.error().message(), "Bind for 127.0.0.1:8081 failed: port is already allocated");
  EXPECT_TRUE(relay_.bind({{"tcp", "0.0.0.0", 8080, kContainer, 80}}));
}

TEST_F(PortRelayTest, NamesAUdpPortThatIsInUse) {
  sys::Fd other = bound(SOCK_DGRAM, "::", 5353);
  Result<void> taken = relay_.bind({{"udp", "::", 5353, kContainer, 53}});
  ASSERT_FALSE(taken);
  EXPECT_EQ(taken.error().message(), "Bind for [::]:5353 failed: port is already allocated");
}

TEST_F(PortRelayTest, FreesThePortWhenClosed) {
  serve({{"tcp", "0.0.0.0", 8080, kContainer, 80}, {"udp", "0.0.0.0", 8080, kContainer, 80}});
  stop();
  relay_.close();
  PortRelay again(loop_);
  EXPECT_TRUE(again.bind(
      {{"tcp", "0.0.0.0", 8080, kContainer, 80}, {"udp", "0.0.0.0", 8080, kContainer, 80}}));
}

TEST_F(PortRelayTest, AnswersEachUdpClientFromTheAddressItAsked) {
  sys::Fd server = bound(SOCK_DGRAM, "127.0.0.2", 53);
  serve({{"udp", "0.0.0.0", 5353, kContainer, 53}, {"udp", "::", 5353, kContainer, 53}});
  // Connected sockets take answers only from where they asked.
  for (const char* ip : {"127.0.0.1", "127.0.0.7", "::1"}) {
    sys::Fd one = connected(SOCK_DGRAM, ip, 5353);
    sys::Fd two = connected(SOCK_DGRAM, ip, 5353);
    ASSERT_TRUE(sys::write_all(one.get(), "one"));
    SocketAddress from_one, from_two;
    EXPECT_EQ(receive_one(server.get(), &from_one), "one");
    ASSERT_TRUE(sys::write_all(two.get(), "two"));
    EXPECT_EQ(receive_one(server.get(), &from_two), "two");
    EXPECT_NE(from_one.key(), from_two.key());
    sendto(server.get(), "2", 1, 0, from_two.get(), from_two.length);
    sendto(server.get(), "1", 1, 0, from_one.get(), from_one.length);
    EXPECT_EQ(receive_one(one.get()), "1");
    EXPECT_EQ(receive_one(two.get()), "2");
  }
}

TEST_F(PortRelayTest, ForgetsIdleUdpClients) {
  sys::Fd server = bound(SOCK_DGRAM, "127.0.0.2", 53);
  Result<std::optional<sys::Fd>> socket = bind_port({"udp", "0.0.0.0", 5353, kContainer, 53});
  ASSERT_TRUE(socket);
  UdpRelay relay(loop_, std::move(**socket), address_of("127.0.0.2", 53), 30);
  ASSERT_TRUE(relay.serve());
  sys::Fd client = connected(SOCK_DGRAM, "127.0.0.1", 5353);
  ASSERT_TRUE(sys::write_all(client.get(), "x"));
  while (relay.sessions() == 0) ASSERT_TRUE(loop_.run_once());
  EXPECT_EQ(receive_one(server.get()), "x");
  while (relay.sessions() > 0) ASSERT_TRUE(loop_.run_once());
}

}  // namespace
}  // namespace wherry::monitor
