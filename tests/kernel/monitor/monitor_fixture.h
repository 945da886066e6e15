// Real monitors with real containers: a root file system of one static busybox, a run directory and
// cgroups of the test's own, all gone afterwards.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <signal.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <string>

#include "monitor/client.h"
#include "runtime/container.h"
#include "runtime/seccomp.h"
#include "sys/file.h"
#include "sys/lock.h"
#include "sys/process.h"

namespace wherry::monitor {

class MonitorTest : public testing::Test {
 protected:
  static constexpr int kTimeoutMs = 30'000;

  void SetUp() override {
    ASSERT_EQ(unshare(CLONE_NEWNET), 0);
    setenv("WHERRY_LIBEXEC", WHERRY_BIN_DIR, 1);
    std::string pattern = "/tmp/wherry-monitor-XXXXXX";
    ASSERT_NE(mkdtemp(pattern.data()), nullptr);
    directory_ = pattern;
    for (const char* name : {"/root", "/root/bin", "/root/proc", "/root/dev", "/run"})
      std::filesystem::create_directory(directory_ + name);
    std::filesystem::copy_file("/bin/busybox", directory_ + "/root/bin/busybox");
    for (const char* name : {"sh", "cat", "sleep", "head", "stty", "kill"})
      std::filesystem::create_symlink("busybox", directory_ + "/root/bin/" + name);
    cgroup_ = "/wherry-test-" + std::to_string(getpid());
    run_dir_ = *sys::open_file(directory_ + "/run", O_RDONLY | O_DIRECTORY);
  }

  void TearDown() override {
    unsetenv("WHERRY_FAILPOINT");
    EXPECT_TRUE(runtime::kill_cgroup(cgroup_, 5000));
    EXPECT_TRUE(runtime::remove_cgroup(cgroup_));
    std::filesystem::remove_all(directory_);
  }

  MonitorConfig config(std::vector<std::string> args) {
    MonitorConfig config;
    config.container_id = "c";
    config.run_dir = directory_ + "/run";
    config.log_path = directory_ + "/c.log";
    MonitorConfig::ContainerPlan plan;
    plan.root.directory = directory_ + "/root";
    plan.seccomp_filter = runtime::default_seccomp_filter();
    oci::RuntimeSpec& spec = plan.spec;
    spec.root_path = directory_ + "/root";
    spec.process.args = std::move(args);
    spec.process.env = {"PATH=/bin"};
    spec.cgroups_path = cgroup_ + "/c";
    for (const char* type : {"pid", "mount", "ipc", "uts", "network"})
      spec.namespaces.push_back({type, ""});
    spec.mounts.push_back({"/proc", "proc", "proc", {}});
    spec.mounts.push_back({"/dev", "tmpfs", "tmpfs", {"nosuid", "mode=755"}});
    spec.mounts.push_back({"/dev/pts", "devpts", "devpts", {"newinstance", "ptmxmode=0666"}});
    config.container = std::move(plan);
    return config;
  }
  MonitorConfig shell(const std::string& script) { return config({"sh", "-c", script}); }

  Result<Client> try_launch(const MonitorConfig& config) const {
    TRY(Standby standby, Standby::spawn({config.container_id, cgroup_ + "/engine", {}}));
    return Client::launch(config, std::move(standby));
  }
  Client launch(const MonitorConfig& config) const {
    Result<Client> client = try_launch(config);
    if (!client) throw std::runtime_error(client.error().message());
    return std::move(*client);
  }
  Client connect() {
    Result<Client> client = Client::connect(run_dir_.get());
    if (!client) throw std::runtime_error(client.error().message());
    return std::move(*client);
  }

  // The next message, or a test failure after a while.
  static Message next(Client& client) {
    pollfd ready{client.fd(), POLLIN, 0};
    if (!client.has_pending() && poll(&ready, 1, kTimeoutMs) != 1)
      throw std::runtime_error("the monitor says nothing");
    Result<Message> message = client.receive();
    if (!message) throw std::runtime_error(message.error().message());
    return std::move(*message);
  }

  struct Seen {
    std::string out;
    std::string err;
    Exited exited;
  };
  static Seen until_exit(Client& client) {
    Seen seen;
    for (;;) {
      Message message = next(client);
      if (Output* output = std::get_if<Output>(&message))
        (output->stream == 1 ? seen.out : seen.err) += output->data;
      if (Exited* exited = std::get_if<Exited>(&message)) {
        seen.exited = *exited;
        return seen;
      }
    }
  }
  static void until_output(Client& client, const std::string& wanted) {
    std::string out;
    while (out.find(wanted) == out.npos) {
      Message message = next(client);
      if (Output* output = std::get_if<Output>(&message)) out += output->data;
      ASSERT_FALSE(std::holds_alternative<Exited>(message)) << out;
    }
  }

  RunState state() {
    Result<std::string> text = sys::read_file(directory_ + "/run/state.json", 1 << 20);
    Result<RunState> state = parse_run_state(text ? *text : "");
    if (!state) throw std::runtime_error(state.error().message());
    return std::move(*state);
  }
  static sys::Fd pidfd(int pid) {
    return sys::Fd(static_cast<int>(syscall(SYS_pidfd_open, pid, 0)));
  }
  static bool ended_within(const sys::Fd& process, int milliseconds) {
    pollfd ended{process.get(), POLLIN, 0};
    return poll(&ended, 1, milliseconds) == 1;
  }
  static void wait_for_end(const sys::Fd& process) {
    if (!process) return;
    ASSERT_TRUE(ended_within(process, kTimeoutMs)) << "the process does not end";
  }
  std::string log() { return sys::read_file(directory_ + "/c.log", 64 << 20).value_or(""); }
  bool locked() { return sys::is_locked(run_dir_.get(), "monitor.lock").value_or(true); }

  std::string directory_;
  std::string cgroup_;
  sys::Fd run_dir_;
};

}  // namespace wherry::monitor
