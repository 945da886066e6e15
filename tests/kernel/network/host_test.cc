#include "kernel/network/host.h"

#include <arpa/inet.h>
#include <sched.h>
#include <sys/socket.h>
#include <sys/stat.h>

#include <cerrno>
#include <cstdlib>
#include <fstream>

#include "sys/file.h"
#include "sys/nfnetlink.h"
#include "sys/process.h"
#include "sys/rtnetlink.h"

namespace wherry::network {
namespace {

sys::Fd current_namespace() {
  return sys::Fd(open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC));
}

void set_timeouts(int fd) {
  timeval limit{2, 0};
  setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof limit);
  setsockopt(fd, SOL_SOCKET, SO_SNDTIMEO, &limit, sizeof limit);
}

sockaddr_in any(uint16_t port) {
  sockaddr_in address{};
  address.sin_family = AF_INET;
  address.sin_port = htons(port);
  return address;
}

sys::Fd bound(int netns, int type, uint16_t port) {
  sys::Fd fd;
  inside(netns, [&] {
    fd = sys::Fd(socket(AF_INET, type | SOCK_CLOEXEC, 0));
    set_timeouts(fd.get());
    sockaddr_in address = any(port);
    ASSERT_EQ(bind(fd.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  });
  return fd;
}

}  // namespace

void inside(int netns, const std::function<void()>& action) {
  sys::Fd before = current_namespace();
  ASSERT_EQ(setns(netns, CLONE_NEWNET), 0);
  action();
  ASSERT_EQ(setns(before.get(), CLONE_NEWNET), 0);
}

sys::Fd new_namespace() {
  sys::Fd before = current_namespace();
  EXPECT_EQ(unshare(CLONE_NEWNET), 0);
  sys::Fd made = current_namespace();
  EXPECT_EQ(setns(before.get(), CLONE_NEWNET), 0);
  return made;
}

sys::Fd listen_in(int netns, uint16_t port) {
  sys::Fd fd = bound(netns, SOCK_STREAM, port);
  EXPECT_EQ(listen(fd.get(), 8), 0);
  return fd;
}

sys::Fd udp_in(int netns, uint16_t port) {
  return bound(netns, SOCK_DGRAM, port);
}

sys::Fd connect_from(int netns, uint32_t address, uint16_t port) {
  sys::Fd fd;
  int error = 0;
  inside(netns, [&] {
    fd = sys::Fd(socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0));
    set_timeouts(fd.get());
    sockaddr_in peer = any(port);
    peer.sin_addr.s_addr = htonl(address);
    if (connect(fd.get(), reinterpret_cast<sockaddr*>(&peer), sizeof peer) != 0) {
      error = errno;
      fd.reset();
    }
  });
  errno = error;
  return fd;
}

uint32_t accept_peer(int listener) {
  sockaddr_in peer{};
  socklen_t length = sizeof peer;
  sys::Fd fd(accept4(listener, reinterpret_cast<sockaddr*>(&peer), &length, SOCK_CLOEXEC));
  return fd ? ntohl(peer.sin_addr.s_addr) : 0;
}

std::string shell(const std::string& command) {
  sys::SpawnOptions options;
  options.program = "/bin/sh";
  options.arguments = {"sh", "-c", command};
  options.environment = {"PATH=/usr/sbin:/usr/bin:/sbin:/bin"};
  Result<sys::Finished> finished = sys::run_program(std::move(options), 1 << 20);
  EXPECT_TRUE(finished.has_value());
  if (!finished) return {};
  EXPECT_EQ(finished->code, 0) << command << ": " << finished->err;
  return finished->out;
}

Result<std::vector<std::string>> nobody() {
  return std::vector<std::string>();
}

Root::Root(const std::string& tag) {
  char name[] = "/tmp/wherry-network-XXXXXX";
  directory = mkdtemp(name);
  run_root = std::move(*sys::make_dirs(directory + "/run", 0700));
  (void)*sys::make_dirs(directory + "/root", 0700);
  database =
      std::make_unique<state::Database>(std::move(*state::Database::open(directory + "/root")));
  networks = std::make_unique<Networks>(*database, run_root.get(), tag);
  Result<Network> chosen = networks->default_bridge();
  EXPECT_TRUE(chosen.has_value()) << chosen.error().message();
  if (chosen) bridge = *chosen;
}

Root::~Root() {
  networks.reset();
  database.reset();
  run_root.reset();
  Result<sys::Fd> parent = sys::open_file("/tmp", O_RDONLY | O_DIRECTORY);
  if (parent) (void)!sys::remove_tree_at(parent->get(), directory.substr(5));
}

void HostTest::SetUp() {
  struct stat before{};
  struct stat after{};
  stat("/proc/thread-self/ns/net", &before);
  ASSERT_EQ(unshare(CLONE_NEWNET), 0);
  stat("/proc/thread-self/ns/net", &after);
  ASSERT_NE(before.st_ino, after.st_ino);
  // A new namespace begins with what the machine's own has.
  std::ofstream("/proc/sys/net/ipv4/ip_forward") << "0\n";
  host_ = current_namespace();
  outside_ = new_namespace();
  ASSERT_TRUE(sys::configure_links(nullptr));
  ASSERT_TRUE(sys::ensure_bridge_link("uplink", kHostAddress, 24));
  sys::LinkPlan wire;
  wire.bridge = "uplink";
  wire.host_interface = "wire0";
  wire.mac = {2, 0, 0, 0, 0, 2};
  wire.address = kOutsideAddress;
  wire.prefix_length = 24;
  ASSERT_TRUE(sys::create_veth(wire, outside_.get()));
  inside(outside_.get(), [&] { ASSERT_TRUE(sys::configure_links(&wire)); });
  ASSERT_TRUE(sys::settle_link(wire));
}

RunningContainer HostTest::start(Root& root, char id, const std::vector<PortRequest>& ports) {
  RunningContainer container;
  container.id = std::string(64, id);
  Result<Attachment> attachment = root.networks->attach(root.bridge, container.id, ports);
  EXPECT_TRUE(attachment.has_value()) << attachment.error().message();
  if (!attachment) return container;
  container.attachment = std::move(*attachment);
  container.netns = new_namespace();
  Result<void> made = sys::create_veth(container.attachment.link, container.netns.get());
  EXPECT_TRUE(made.has_value()) << made.error().message();
  inside(container.netns.get(), [&] {
    Result<void> done = sys::configure_links(&container.attachment.link);
    EXPECT_TRUE(done.has_value()) << done.error().message();
  });
  EXPECT_TRUE(sys::settle_link(container.attachment.link));
  Result<void> sent = sys::send_nft_batch(container.attachment.nft_on_start);
  EXPECT_TRUE(sent.has_value()) << sent.error().message();
  return container;
}

}  // namespace wherry::network
