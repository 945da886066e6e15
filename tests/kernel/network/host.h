// A small world for network tests: the test process in a fresh network namespace that plays the
// host (10.9.0.1), a second namespace that plays a machine outside (10.9.0.2), and as many
// containers as wanted. Nothing of it touches the machine's own namespace, and all of it goes with
// the file descriptors.
#pragma once

#include <gtest/gtest.h>

#include <functional>
#include <memory>
#include <string>
#include <vector>

#include "network/network.h"
#include "sys/fd.h"

namespace wherry::network {

inline constexpr uint32_t kHostAddress = 10u << 24 | 9u << 16 | 1;
inline constexpr uint32_t kOutsideAddress = kHostAddress + 1;

// Runs `action` with the thread in namespace `netns`.
void inside(int netns, const std::function<void()>& action);
sys::Fd new_namespace();

// Sockets that belong to a namespace wherever they are used from.
sys::Fd listen_in(int netns, uint16_t port);  // TCP, any address
sys::Fd udp_in(int netns, uint16_t port);     // UDP, any address; 0: unbound
sys::Fd connect_from(int netns, uint32_t address,
                     uint16_t port);  // empty when refused; errno is kept
uint32_t accept_peer(int listener);   // the peer's address; 0: none came

// Runs a shell command in the current namespace; its standard output. Fails the test on a non-zero
// exit.
std::string shell(const std::string& command);

// For Networks::prune: no container is live.
Result<std::vector<std::string>> nobody();

// A root of wherry: state, run root, networks.
struct Root {
  explicit Root(const std::string& tag);
  ~Root();
  std::string directory;
  sys::Fd run_root;
  std::unique_ptr<state::Database> database;
  std::unique_ptr<Networks> networks;
  Network bridge;
};

struct RunningContainer {
  std::string id;
  Attachment attachment;
  sys::Fd netns;
};

class HostTest : public testing::Test {
 protected:
  void SetUp() override;

  // Attaches, makes the link and sends the batch, as a monitor does.
  RunningContainer start(Root& root, char id, const std::vector<PortRequest>& ports = {});

  sys::Fd host_;
  sys::Fd outside_;
};

}  // namespace wherry::network
