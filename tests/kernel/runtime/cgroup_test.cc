// The cgroup in this machine's real hierarchies, below /wherry-test-<pid>, which is gone
// afterwards.
#include "runtime/cgroup.h"

#include <fcntl.h>
#include <gtest/gtest.h>
#include <linux/sched.h>
#include <poll.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <unistd.h>

#include <algorithm>
#include <chrono>
#include <fstream>
#include <sstream>

#include "runtime/cgroup_files.h"
#include "runtime/cgroup_hierarchies.h"
#include "runtime/container.h"
#include "runtime/device_program.h"

namespace wherry::runtime {
namespace {

class CgroupTest : public testing::Test {
 protected:
  void SetUp() override {
    top_ = "/wherry-test-" + std::to_string(::getpid());
    path_ = top_ + "/x";
  }
  void TearDown() override {
    for (pid_t child : children_) {
      ::kill(child, SIGKILL);
      ::waitpid(child, nullptr, 0);
    }
    const auto killed = kill_cgroup(top_, 5000);
    EXPECT_TRUE(killed) << killed.error().message();
    const auto removed = remove_cgroup(top_);
    EXPECT_TRUE(removed) << removed.error().message();
    for (const std::string& directory : everywhere(top_)) {
      EXPECT_NE(::access(directory.c_str(), F_OK), 0) << directory;
    }
  }

  static std::vector<std::string> everywhere(const std::string& path) {
    std::vector<std::string> result;
    const auto hierarchies = find_hierarchies();
    EXPECT_TRUE(hierarchies);
    for (const auto& hierarchy : hierarchies->v1) result.push_back(hierarchy.mount + path);
    if (!hierarchies->v2_mount.empty()) result.push_back(hierarchies->v2_mount + path);
    return result;
  }

  Cgroup create(const oci::Resources& resources = {}) {
    auto cgroup = Cgroup::create(path_, resources, warnings_);
    if (!cgroup) throw std::runtime_error(cgroup.error().message());
    return std::move(*cgroup);
  }

  // A child born in the version 2 group that joins the others itself, then runs `body`.
  template <typename Body>
  pid_t spawn(const Cgroup& cgroup, Body body) {
    sys::Pipe ready = *sys::make_pipe();
    clone_args args{};
    args.exit_signal = SIGCHLD;
    if (cgroup.v2_fd() >= 0) {
      args.flags = CLONE_INTO_CGROUP;
      args.cgroup = static_cast<uint64_t>(cgroup.v2_fd());
    }
    const auto pid = static_cast<pid_t>(::syscall(SYS_clone3, &args, sizeof args));
    if (pid == 0) {
      const auto attached = cgroup.attach_self();
      const char answer = attached ? 'y' : 'n';
      if (::write(ready.write.get(), &answer, 1) != 1) ::_exit(99);
      ::_exit(body());
    }
    EXPECT_GT(pid, 0);
    children_.push_back(pid);
    ready.write.reset();
    char answer = 0;
    EXPECT_EQ(::read(ready.read.get(), &answer, 1), 1);
    EXPECT_EQ(answer, 'y');
    return pid;
  }
  static int sleep_forever() {
    while (true) ::pause();
  }
  int reap(pid_t pid) {
    int status = 0;
    EXPECT_EQ(::waitpid(pid, &status, 0), pid);
    std::erase(children_, pid);
    return status;
  }

  std::string value(const std::string& controller, const std::string& file) {
    const auto hierarchies = find_hierarchies();
    for (const auto& hierarchy : hierarchies->v1) {
      if (std::count(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) == 0) {
        continue;
      }
      const auto text = read_cgroup_file(hierarchy.mount + path_, file);
      return text && *text ? **text : "";
    }
    return "";
  }
  bool on_v1(const std::string& controller) {
    const auto hierarchies = find_hierarchies();
    return std::any_of(hierarchies->v1.begin(), hierarchies->v1.end(), [&](const auto& hierarchy) {
      return std::count(hierarchy.controllers.begin(), hierarchy.controllers.end(), controller) > 0;
    });
  }

  std::string top_, path_;
  std::vector<std::string> warnings_;
  std::vector<pid_t> children_;
};

std::string slurp(const std::string& path) {
  std::ifstream file(path);
  std::ostringstream text;
  text << file.rdbuf();
  return text.str();
}

TEST_F(CgroupTest, AChildThatAttachesItselfIsInEveryHierarchy) {
  const Cgroup cgroup = create();
  const pid_t child = spawn(cgroup, sleep_forever);
  std::istringstream lines(slurp("/proc/" + std::to_string(child) + "/cgroup"));
  size_t seen = 0;
  const auto hierarchies = find_hierarchies();
  for (std::string line; std::getline(lines, line);) {
    const std::string names = line.substr(line.find(':') + 1);
    if (names.starts_with(':') && hierarchies->v2_mount.empty()) continue;
    ++seen;
    EXPECT_TRUE(line.ends_with(":" + path_)) << line;
  }
  EXPECT_EQ(seen, everywhere("").size());
  EXPECT_EQ(*cgroup.process_count(), 1u);
}

TEST_F(CgroupTest, LimitsReadBackAsAsked) {
  oci::Resources resources;
  resources.memory_limit = 64 << 20;
  resources.memory_swap = 128 << 20;
  resources.cpu_shares = 512;
  resources.cpu_quota = 50'000;
  resources.cpu_period = 100'000;
  resources.pids_limit = 17;
  resources.cpuset_cpus = "0";
  const Cgroup cgroup = create(resources);
  if (on_v1("memory")) {
    EXPECT_EQ(value("memory", "memory.limit_in_bytes"), "67108864");
    EXPECT_EQ(value("pids", "pids.max"), "17");
    EXPECT_EQ(value("cpu", "cpu.shares"), "512");
    EXPECT_EQ(value("cpu", "cpu.cfs_quota_us"), "50000");
    EXPECT_EQ(value("cpuset", "cpuset.cpus"), "0");
    EXPECT_NE(value("cpuset", "cpuset.mems"), "");
  } else {
    const std::string directory = find_hierarchies()->v2_mount + path_;
    EXPECT_EQ(slurp(directory + "/memory.max"), "67108864\n");
    EXPECT_EQ(slurp(directory + "/pids.max"), "17\n");
    EXPECT_EQ(slurp(directory + "/cpu.max"), "50000 100000\n");
    EXPECT_EQ(slurp(directory + "/cpuset.cpus"), "0\n");
  }
}

// What a parent was given reaches what is made in it, be it by the kernel or by us.
TEST_F(CgroupTest, ACpusetTakesOverWhatItsParentHas) {
  if (!on_v1("cpuset")) return;
  std::string parent;
  const auto hierarchies = find_hierarchies();
  for (const auto& hierarchy : hierarchies->v1)
    if (std::ranges::find(hierarchy.controllers, "cpuset") != hierarchy.controllers.end())
      parent = hierarchy.mount + top_;
  for (const char* copies : {"1", "0"}) {
    const auto made = Cgroup::ensure(top_);
    ASSERT_TRUE(made);
    ASSERT_TRUE(write_cgroup_file(parent, "cpuset.cpus", "0"));
    ASSERT_TRUE(write_cgroup_file(parent, "cgroup.clone_children", copies));
    const Cgroup cgroup = create();
    EXPECT_EQ(value("cpuset", "cpuset.cpus"), "0");
    EXPECT_EQ(value("cpuset", "cpuset.mems"), *read_cgroup_file(parent, "cpuset.mems"));
    ASSERT_TRUE(cgroup.remove());
  }
}

TEST_F(CgroupTest, LimitsCanBeRaisedAndLowered) {
  oci::Resources resources;
  resources.memory_limit = 64 << 20;
  resources.memory_swap = 64 << 20;
  const Cgroup cgroup = create(resources);
  for (int64_t size : {256 << 20, 32 << 20}) {
    resources.memory_limit = size;
    resources.memory_swap = size;
    const auto applied = cgroup.apply(resources, warnings_);
    ASSERT_TRUE(applied) << applied.error().message();
    if (on_v1("memory")) {
      EXPECT_EQ(value("memory", "memory.limit_in_bytes"), std::to_string(size));
    }
  }
}

TEST_F(CgroupTest, PidsLimitStopsAForkBomb) {
  oci::Resources resources;
  resources.pids_limit = 5;
  const Cgroup cgroup = create(resources);
  const pid_t child = spawn(cgroup, [] {
    for (int i = 0; i < 100; ++i) {
      const pid_t pid = ::fork();
      if (pid == 0) sleep_forever();
      if (pid < 0) return errno == EAGAIN && i == 4 ? 0 : 1;
    }
    return 2;
  });
  EXPECT_EQ(reap(child), 0);
  EXPECT_EQ(*cgroup.process_count(), 4u);
  ASSERT_TRUE(cgroup.kill_all(5000));
  EXPECT_EQ(*cgroup.process_count(), 0u);
}

TEST_F(CgroupTest, MemoryLimitKillsAndIsReported) {
  oci::Resources resources;
  resources.memory_limit = 16 << 20;
  resources.memory_swap = 16 << 20;
  const Cgroup cgroup = create(resources);
  EXPECT_FALSE(*cgroup.oom_killed());
  const pid_t child = spawn(cgroup, [] {
    for (size_t used = 0; used < (256u << 20); used += 1 << 20) {
      auto* block = static_cast<volatile char*>(::malloc(1 << 20));
      for (size_t i = 0; i < (1 << 20); i += 4096) block[i] = 1;
    }
    return 0;
  });
  const int status = reap(child);
  EXPECT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL) << status;
  EXPECT_TRUE(*cgroup.oom_killed());
}

TEST_F(CgroupTest, DeviceRulesHold) {
  oci::Resources resources;
  resources.devices = {{.allow = false, .type = 'a'},
                       {.allow = true, .type = 'c', .major = 1, .minor = 5, .access = "rwm"},
                       {.allow = true, .type = 'c', .access = "m"}};
  const Cgroup cgroup = create(resources);
  const pid_t child = spawn(cgroup, [] {
    if (::open("/dev/zero", O_RDONLY) < 0) return 1;
    if (::open("/dev/full", O_RDONLY) >= 0 || errno != EPERM) return 2;
    return 0;
  });
  EXPECT_EQ(WEXITSTATUS(reap(child)), 0);
}

TEST_F(CgroupTest, DeviceProgramOfVersion2HoldsAndCanBeReplaced) {
  const Cgroup cgroup = create();
  ASSERT_GE(cgroup.v2_fd(), 0);
  const auto exit_code = [&] {
    return WEXITSTATUS(reap(spawn(cgroup, [] {
      const bool zero = ::open("/dev/zero", O_RDONLY) >= 0;
      const bool full = ::open("/dev/full", O_RDONLY) >= 0;
      return (zero ? 1 : 0) + (full ? 2 : 0);
    })));
  };
  EXPECT_EQ(exit_code(), 3);
  auto attached = attach_device_program(
      cgroup.v2_fd(), {{.allow = false, .type = 'a'},
                       {.allow = true, .type = 'c', .major = 1, .minor = 5, .access = "rw"}});
  ASSERT_TRUE(attached) << attached.error().message();
  EXPECT_EQ(exit_code(), 1);
  attached = attach_device_program(
      cgroup.v2_fd(), {{.allow = false, .type = 'a'},
                       {.allow = true, .type = 'c', .major = 1, .minor = 7, .access = "rw"}});
  ASSERT_TRUE(attached) << attached.error().message();
  EXPECT_EQ(exit_code(), 2);
}

TEST_F(CgroupTest, FreezeStopsTheClockAndThawGoesOn) {
  const Cgroup cgroup = create();
  sys::Pipe ticks = *sys::make_pipe();
  sys::Pipe acks = *sys::make_pipe();
  spawn(cgroup, [&] {
    char byte;
    while (::read(acks.read.get(), &byte, 1) == 1) {
      if (::write(ticks.write.get(), "t", 1) != 1) return 1;
    }
    return 0;
  });
  const auto answers = [&](int timeout_ms) {
    pollfd poller{.fd = ticks.read.get(), .events = POLLIN, .revents = 0};
    if (::poll(&poller, 1, timeout_ms) != 1) return false;
    char byte;
    return ::read(ticks.read.get(), &byte, 1) == 1;
  };
  ASSERT_EQ(::write(acks.write.get(), "a", 1), 1);
  EXPECT_TRUE(answers(5000));
  EXPECT_FALSE(*cgroup_frozen(path_));
  ASSERT_TRUE(freeze_cgroup(path_, true));
  ASSERT_TRUE(freeze_cgroup(path_, true));
  EXPECT_TRUE(*cgroup_frozen(path_));
  ASSERT_EQ(::write(acks.write.get(), "a", 1), 1);
  EXPECT_FALSE(answers(100));
  ASSERT_TRUE(freeze_cgroup(path_, false));
  EXPECT_FALSE(*cgroup_frozen(path_));
  EXPECT_TRUE(answers(5000));
}

TEST_F(CgroupTest, KillReachesFrozenProcessesAndTheirChildren) {
  const Cgroup cgroup = create();
  const pid_t child = spawn(cgroup, [] {
    ::signal(SIGTERM, SIG_IGN);
    if (::fork() == 0) ::setsid();
    return sleep_forever();
  });
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (*cgroup.process_count() < 2 && std::chrono::steady_clock::now() < deadline)
    ::sched_yield();
  ASSERT_TRUE(cgroup.freeze(true));
  const auto killed = cgroup.kill_all(5000);
  ASSERT_TRUE(killed) << killed.error().message();
  EXPECT_EQ(*cgroup.process_count(), 0u);
  EXPECT_EQ(WTERMSIG(reap(child)), SIGKILL);
  ASSERT_TRUE(cgroup.kill_all(5000)) << "idempotent";
}

TEST_F(CgroupTest, KillReachesProcessesThatVersion2DoesNotHold) {
  const Cgroup cgroup = create();
  const pid_t child = ::fork();
  if (child == 0) {
    if (!cgroup.attach_self()) ::_exit(1);
    sleep_forever();
  }
  children_.push_back(child);
  const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds(10);
  while (*cgroup.process_count() < 1 && std::chrono::steady_clock::now() < deadline)
    ::sched_yield();
  ASSERT_TRUE(cgroup.freeze(true));
  ASSERT_TRUE(cgroup.kill_all(5000));
  EXPECT_EQ(WTERMSIG(reap(child)), SIGKILL);
}

TEST_F(CgroupTest, RemoveTakesChildGroupsAlongAndIsIdempotent) {
  const Cgroup cgroup = create();
  for (const std::string& directory : everywhere(path_)) {
    ASSERT_EQ(::mkdir((directory + "/deep").c_str(), 0755), 0);
    ASSERT_EQ(::mkdir((directory + "/deep/deeper").c_str(), 0755), 0);
  }
  ASSERT_TRUE(cgroup.remove());
  for (const std::string& directory : everywhere(path_)) {
    EXPECT_NE(::access(directory.c_str(), F_OK), 0) << directory;
  }
  ASSERT_TRUE(cgroup.remove());
  EXPECT_EQ(*cgroup.process_count(), 0u);
  ASSERT_TRUE(cgroup.freeze(false));
  EXPECT_EQ(Cgroup::open(path_).error().kind(), ErrorKind::kNotFound);
}

TEST_F(CgroupTest, DestroyKillsWhoIsLeftAndRemoves) {
  const Cgroup cgroup = create();
  const pid_t child = spawn(cgroup, sleep_forever);
  const auto destroyed = cgroup.destroy(5000);
  ASSERT_TRUE(destroyed) << destroyed.error().message();
  EXPECT_EQ(WTERMSIG(reap(child)), SIGKILL);
  for (const std::string& directory : everywhere(path_)) {
    EXPECT_NE(::access(directory.c_str(), F_OK), 0) << directory;
  }
  ASSERT_TRUE(cgroup.destroy(5000)) << "idempotent";
}

TEST_F(CgroupTest, RemoveRefusesWhileSomebodyLives) {
  const Cgroup cgroup = create();
  spawn(cgroup, sleep_forever);
  const auto removed = cgroup.remove();
  ASSERT_FALSE(removed);
  EXPECT_EQ(removed.error().kind(), ErrorKind::kConflict);
}

TEST_F(CgroupTest, AnEmptyLeftoverIsReplacedAndAnInhabitedOneIsNot) {
  oci::Resources limited;
  limited.pids_limit = 3;
  create(limited);
  const Cgroup cgroup = create();
  if (on_v1("pids")) {
    EXPECT_EQ(value("pids", "pids.max"), "max");
  }
  spawn(cgroup, sleep_forever);
  const auto again = Cgroup::create(path_, {}, warnings_);
  ASSERT_FALSE(again);
  EXPECT_EQ(again.error().kind(), ErrorKind::kConflict);
  EXPECT_EQ(*cgroup.process_count(), 1u);
}

TEST_F(CgroupTest, AFailedCreateLeavesNothing) {
  oci::Resources resources;
  resources.cpuset_cpus = "4095";
  const auto cgroup = Cgroup::create(path_, resources, warnings_);
  ASSERT_FALSE(cgroup);
  EXPECT_NE(cgroup.error().message().find("cpuset.cpus"), std::string::npos);
  for (const std::string& directory : everywhere(path_)) {
    EXPECT_NE(::access(directory.c_str(), F_OK), 0) << directory;
  }
}

TEST_F(CgroupTest, EnteringMovesTheCallerEverywhereAndTwiceIsFine) {
  const pid_t child = ::fork();
  if (child == 0) {
    if (!enter_cgroup(path_) || !enter_cgroup(path_)) ::_exit(1);
    std::istringstream lines(slurp("/proc/self/cgroup"));
    for (std::string line; std::getline(lines, line);) {
      if (!line.ends_with(":" + path_)) ::_exit(2);
    }
    ::_exit(0);
  }
  int status = 0;
  ASSERT_EQ(::waitpid(child, &status, 0), child);
  EXPECT_EQ(WEXITSTATUS(status), 0);
}

}  // namespace
}  // namespace wherry::runtime
