// fake_registry.py as a child of a kernel test, and the network that both are in.
#pragma once

#include <gtest/gtest.h>
#include <net/if.h>
#include <sched.h>
#include <signal.h>
#include <stdlib.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include <algorithm>
#include <string>
#include <vector>

#include "base/text.h"
#include "sys/process.h"
#include "transfer/remote.h"

namespace wherry::transfer {

// For tests of stalls alone: an honest registry on a busy machine may take longer.
inline constexpr uint32_t kStallMs = 1000;

// A namespace with nothing but a loopback that is up, for the rest of the program.
inline void enter_own_network() {
  signal(SIGPIPE, SIG_IGN);
  ASSERT_EQ(unshare(CLONE_NEWNET), 0) << "kernel tests need root";
  sys::Fd control(socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0));
  ifreq loopback{};
  snprintf(loopback.ifr_name, sizeof loopback.ifr_name, "lo");
  loopback.ifr_flags = IFF_UP | IFF_RUNNING;
  ASSERT_EQ(ioctl(control.get(), SIOCSIFFLAGS, &loopback), 0);
}

// Ends with the object.
class Fake {
 public:
  explicit Fake(const std::string& options, std::vector<std::string> content = {}) {
    std::string source = WHERRY_TEST_DATA;
    std::string top = source.substr(0, source.rfind("/tests/"));
    char name[] = "/tmp/registry-log-XXXXXX";
    sys::Fd log(mkstemp(name));
    log_ = name;
    sys::SpawnOptions spawn;
    spawn.program = "/usr/bin/env";
    spawn.arguments = {"env",
                       "PYTHONPATH=" + top + "/tests",
                       "python3",
                       "-m",
                       "harness.fake_registry",
                       "--options",
                       options,
                       "--log",
                       log_};
    for (std::string& item : content) spawn.arguments.push_back(std::move(item));
    for (char** variable = environ; *variable != nullptr; ++variable)
      spawn.environment.emplace_back(*variable);
    sys::Pipe in = *sys::make_pipe();
    sys::Pipe out = *sys::make_pipe();
    spawn.fds = {{in.read.get(), 0}, {out.write.get(), 1}};
    child_ = std::move(*sys::spawn(spawn));
    out.write.reset();
    in_ = std::move(in.write);
    out_ = std::move(out.read);
    port_ = line();
  }
  ~Fake() {
    in_.reset();
    [[maybe_unused]] Result<int> code = child_.wait();
    unlink(log_.c_str());
  }

  // As if their time were over.
  void expire_tokens() {
    ASSERT_TRUE(sys::write_all(in_.get(), "expire\n"));
    ASSERT_EQ(line(), "expired");
  }

  std::string address() const { return "127.0.0.1:" + port_; }
  Endpoint endpoint(const std::string& password = "", const std::string& scheme = "http") const {
    Endpoint endpoint;
    endpoint.domain = address();
    endpoint.base_url = scheme + "://" + address();
    endpoint.connect_ms = 2000;
    endpoint.stall_ms = 30'000;
    endpoint.backoff_ms = 5;
    if (!password.empty()) endpoint.credentials = Credentials{"user", password, ""};
    return endpoint;
  }
  Endpoint impatient_endpoint() const {
    Endpoint endpoint = this->endpoint();
    endpoint.stall_ms = kStallMs;
    return endpoint;
  }
  std::vector<std::string> log() const {
    std::string text = *sys::read_file(log_, 64u << 20);
    std::vector<std::string> lines;
    for (std::string_view line : split(trim(text), '\n')) lines.emplace_back(line);
    return lines;
  }
  // Lines of the log that have all the words.
  size_t count(const std::vector<std::string>& words) const {
    size_t found = 0;
    for (const std::string& line : log())
      found += std::ranges::all_of(
          words, [&](const std::string& word) { return line.find(word) != line.npos; });
    return found;
  }

 private:
  std::string line() {
    std::string text;
    for (char c = 0; read(out_.get(), &c, 1) == 1 && c != '\n';) text += c;
    return text;
  }

  sys::Child child_;
  sys::Fd in_, out_;
  std::string port_, log_;
};

}  // namespace wherry::transfer
