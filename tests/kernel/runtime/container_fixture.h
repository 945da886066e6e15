// Containers for kernel tests: an overlay root of one static program on a tmpfs, Docker's default
// specification, and what the program printed. Everything happens in a mount and network namespace
// of the test's own, below one cgroup that is gone afterwards.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <poll.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <string>
#include <vector>

#include "runtime/container.h"
#include "sys/fd.h"
#include "sys/process.h"

namespace wherry::runtime {

namespace fs = std::filesystem;

inline const std::vector<std::string> kDockerCapabilities = {
    "CAP_CHOWN",   "CAP_DAC_OVERRIDE", "CAP_FSETID",      "CAP_FOWNER",          "CAP_MKNOD",
    "CAP_NET_RAW", "CAP_SETGID",       "CAP_SETUID",      "CAP_SETFCAP",         "CAP_SETPCAP",
    "CAP_KILL",    "CAP_SYS_CHROOT",   "CAP_AUDIT_WRITE", "CAP_NET_BIND_SERVICE"};
inline constexpr uint64_t kDockerCapabilityBits = 0xa80425fb;

struct Ran {
  int code = -1;
  std::string out;
  bool says(const std::string& line) const {
    return ("\n" + out).find("\n" + line + "\n") != std::string::npos;
  }
  bool mentions(const std::string& text) const { return out.find(text) != std::string::npos; }
};

class ContainerTest : public testing::Test {
 protected:
  static void SetUpTestSuite() {
    static bool isolated = false;
    if (isolated) return;
    ASSERT_EQ(unshare(CLONE_NEWNS | CLONE_NEWNET), 0) << "these tests need root";
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    isolated = true;
  }

  void SetUp() override {
    char name[] = "/tmp/wherry-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    ASSERT_EQ(mount("tmpfs", name, "tmpfs", 0, "mode=755"), 0);
    for (const char* directory : {"lower/bin", "lower/proc", "lower/sys", "lower/dev", "lower/etc",
                                  "lower/tmp", "upper", "work"})
      fs::create_directories(base_ / directory);
    fs::copy_file(WHERRY_BIN_DIR "/payload", base_ / "lower/bin/payload");
    cgroup_top_ = "/wherry-test-rt-" + std::to_string(getpid());
    spec_ = docker_spec();
  }

  void TearDown() override {
    [[maybe_unused]] auto killed = kill_cgroup(cgroup_top_, 5000);
    auto removed = remove_cgroup(cgroup_top_);
    EXPECT_TRUE(removed) << removed.error().message();
    EXPECT_EQ(umount2(base_.c_str(), MNT_DETACH), 0);
    fs::remove(base_);
  }

  oci::RuntimeSpec docker_spec() const {
    oci::RuntimeSpec spec;
    spec.hostname = "inside";
    for (const char* type : {"mount", "network", "uts", "pid", "ipc"})
      spec.namespaces.push_back({type, ""});
    spec.cgroups_path = cgroup_top_ + "/x";
    spec.process.args = {"/bin/payload"};
    spec.process.env = {"PATH=/usr/bin:/bin"};
    spec.process.capabilities = {
        kDockerCapabilities, kDockerCapabilities, {}, kDockerCapabilities, {}};
    spec.mounts = {
        {"/proc", "proc", "proc", {"nosuid", "noexec", "nodev"}},
        {"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}},
        {"/dev/pts",
         "devpts",
         "devpts",
         {"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}},
        {"/sys", "sysfs", "sysfs", {"nosuid", "noexec", "nodev", "ro"}},
        {"/sys/fs/cgroup", "cgroup", "cgroup", {"ro", "nosuid", "noexec", "nodev"}},
        {"/dev/mqueue", "mqueue", "mqueue", {"nosuid", "noexec", "nodev"}},
        {"/dev/shm", "tmpfs", "shm", {"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}},
    };
    spec.masked_paths = {"/proc/acpi",       "/proc/interrupts",   "/proc/kcore",  "/proc/keys",
                         "/proc/timer_list", "/proc/no-such-file", "/sys/firmware"};
    spec.readonly_paths = {"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys",
                           "/proc/sysrq-trigger"};
    spec.sysctl = {{"net.ipv4.ip_unprivileged_port_start", "0"},
                   {"net.ipv4.ping_group_range", "0 2147483647"}};
    return spec;
  }

  CreateOptions options() {
    CreateOptions options;
    options.spec = &spec_;
    options.root.lower = {base_ / "lower"};
    options.root.upper = base_ / "upper";
    options.root.work = base_ / "work";
    options.root.volatile_upper = true;
    options.user = user_;
    options.seccomp_filter = seccomp_;
    return options;
  }

  // Runs the payload with these words to its end.
  Result<Ran> run(std::vector<std::string> words) {
    spec_.process.args = {"/bin/payload"};
    spec_.process.args.insert(spec_.process.args.end(), words.begin(), words.end());
    return run_options(options());
  }

  Result<Ran> run_options(CreateOptions options) {
    TRY(sys::Pipe out, sys::make_pipe());
    TRY(sys::Fd null, sys::open_file("/dev/null", O_RDONLY));
    options.stdio = {null.get(), out.write.get(), out.write.get()};
    TRY(Container container, Container::create(options));
    out.write.reset();
    warnings_ = container.warnings();
    TRY_VOID(container.start());
    Ran ran;
    TRY(ran.out, sys::read_all(out.read.get(), 1 << 20));
    TRY(Container::Exit exit, container.reap());
    ran.code = exit.code;
    TRY_VOID(container.destroy());
    return ran;
  }

  // A container whose payload has said that it waits.
  Result<Container> start_waiting() {
    spec_.process.args = {"/bin/payload", "wait"};
    TRY(sys::Pipe out, sys::make_pipe());
    TRY(sys::Fd null, sys::open_file("/dev/null", O_RDONLY));
    CreateOptions wanted = options();
    wanted.stdio = {null.get(), out.write.get(), null.get()};
    TRY(Container container, Container::create(wanted));
    TRY_VOID(container.start());
    char word[8];
    if (read(out.read.get(), word, sizeof word) != sizeof word)
      return Error(ErrorKind::kInternal, "the payload did not say that it waits");
    return container;
  }

  Result<void> end(Container& container) {
    TRY_VOID(sys::signal_process(container.pidfd(), SIGKILL));
    TRY_VOID(container.reap());
    return container.destroy();
  }

  void write_lower(const std::string& name, const std::string& text) {
    std::ofstream(base_ / "lower" / name) << text;
  }

  // The mounts, processes and cgroups of the test are as they were.
  void expect_nothing_left() {
    std::ifstream table("/proc/self/mountinfo");
    int overlays = 0;
    for (std::string line; std::getline(table, line);)
      overlays += line.find(" - overlay ") != std::string::npos &&
                  line.find(base_.string()) != std::string::npos;
    EXPECT_EQ(overlays, 0);
    EXPECT_FALSE(fs::exists("/sys/fs/cgroup/pids" + cgroup_top_ + "/x"));
  }

  fs::path base_;
  std::string cgroup_top_;
  oci::RuntimeSpec spec_;
  std::optional<std::string> user_;
  std::string seccomp_;
  std::vector<std::string> warnings_;
};

#define ASSERT_RAN(declaration, expression)                                    \
  auto declaration##_result = (expression);                                    \
  ASSERT_TRUE(declaration##_result) << declaration##_result.error().message(); \
  [[maybe_unused]] auto& declaration = *declaration##_result

}  // namespace wherry::runtime
