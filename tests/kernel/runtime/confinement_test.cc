// What a container's process may do and see, told by the process itself.
#include <linux/capability.h>
#include <sys/prctl.h>

#include "container_fixture.h"
#include "runtime/seccomp.h"

namespace wherry::runtime {
namespace {

using Confinement = ContainerTest;

TEST_F(Confinement, GivesRootDockersFourteenCapabilitiesAndNoInheritableOne) {
  ASSERT_RAN(ran, run({"report"}));
  EXPECT_EQ(ran.code, 0);
  EXPECT_TRUE(ran.says("CapInh:\t0000000000000000")) << ran.out;
  EXPECT_TRUE(ran.says("CapPrm:\t00000000a80425fb")) << ran.out;
  EXPECT_TRUE(ran.says("CapEff:\t00000000a80425fb")) << ran.out;
  EXPECT_TRUE(ran.says("CapBnd:\t00000000a80425fb")) << ran.out;
  EXPECT_TRUE(ran.says("CapAmb:\t0000000000000000")) << ran.out;
  EXPECT_TRUE(ran.says("NoNewPrivs:\t0"));
  EXPECT_TRUE(ran.says("Seccomp:\t0"));
  EXPECT_TRUE(ran.mentions("pid=1 sid=1 umask=022"));
  EXPECT_TRUE(ran.says("hostname=inside"));
  EXPECT_TRUE(ran.says("cwd=/"));
}

TEST_F(Confinement, LeavesNoDescriptorAboveTheStandardOnes) {
  sys::Fd canary(open("/dev/null", O_RDONLY));  // not close-on-exec
  ASSERT_RAN(ran, run({"report"}));
  EXPECT_TRUE(ran.says("fds=0,1,2,")) << ran.out;
}

// CVE-2024-21626: what closes only by the execve can still be walked through by it.
TEST_F(Confinement, RefusesAProgramBehindADescriptorOfTheCaller) {
  fs::copy_file(WHERRY_BIN_DIR "/payload", base_ / "of-the-host");
  sys::Fd directory(open(base_.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  sys::Fd high(fcntl(directory.get(), F_DUPFD_CLOEXEC, 50));
  spec_.process.args = {"/proc/self/fd/" + std::to_string(high.get()) + "/of-the-host", "exit",
                        "0"};
  auto ran = run_options(options());
  ASSERT_FALSE(ran) << "a file of the host was executed";
  EXPECT_EQ(ran.error().kind(), ErrorKind::kNotFound) << ran.error().message();

  ASSERT_RAN(waiting, start_waiting());
  ExecOptions exec;
  exec.init_pid = waiting.pid();
  exec.init_start_time = waiting.start_time();
  exec.cgroups_path = spec_.cgroups_path;
  exec.process = docker_spec().process;
  exec.process.args = {"/proc/self/fd/" + std::to_string(high.get()) + "/of-the-host", "exit", "0"};
  auto joined = ExecProcess::start(exec);
  ASSERT_FALSE(joined) << "a file of the host was executed";
  EXPECT_EQ(joined.error().kind(), ErrorKind::kNotFound) << joined.error().message();
  EXPECT_TRUE(end(waiting));
}

TEST_F(Confinement, TakesTheEnvironmentFromTheSpecificationOnly) {
  setenv("WHERRY_CANARY", "leaked", 1);
  ASSERT_RAN(ran, run({"report"}));
  unsetenv("WHERRY_CANARY");
  EXPECT_FALSE(ran.mentions("WHERRY_CANARY"));
  EXPECT_TRUE(ran.says("env PATH=/usr/bin:/bin"));
}

TEST_F(Confinement, LoadsTheDefaultFilterWithAndWithoutNoNewPrivileges) {
  seccomp_ = std::string(default_seccomp_filter());
  ASSERT_RAN(plain, run({"report"}));
  EXPECT_TRUE(plain.says("Seccomp:\t2")) << plain.out;
  EXPECT_TRUE(plain.says("NoNewPrivs:\t0"));
  EXPECT_TRUE(plain.says("CapEff:\t00000000a80425fb")) << "CAP_SYS_ADMIN must be gone again";
  spec_.process.no_new_privileges = true;
  ASSERT_RAN(strict, run({"report"}));
  EXPECT_TRUE(strict.says("Seccomp:\t2"));
  EXPECT_TRUE(strict.says("NoNewPrivs:\t1"));
}

TEST_F(Confinement, LeavesAUserWhoIsNotRootNoCapability) {
  user_ = "1000:1001";
  seccomp_ = std::string(default_seccomp_filter());
  ASSERT_RAN(ran, run({"report"}));
  EXPECT_TRUE(ran.says("uid=1000 gid=1001 groups=1001")) << ran.out;
  EXPECT_TRUE(ran.says("CapPrm:\t0000000000000000"));
  EXPECT_TRUE(ran.says("CapEff:\t0000000000000000"));
  EXPECT_TRUE(ran.says("CapBnd:\t00000000a80425fb"));
  EXPECT_TRUE(ran.says("env HOME=/"));
}

TEST_F(Confinement, KeepsAmbientCapabilitiesOfAUserWhoIsNotRoot) {
  spec_.process.user.uid = 1000;
  spec_.process.capabilities.inheritable = {"CAP_NET_BIND_SERVICE"};
  spec_.process.capabilities.ambient = {"CAP_NET_BIND_SERVICE"};
  ASSERT_RAN(ran, run({"report"}));
  EXPECT_TRUE(ran.says("CapAmb:\t0000000000000400")) << ran.out;
  EXPECT_TRUE(ran.says("CapEff:\t0000000000000400"));
}

TEST_F(Confinement, FindsTheUserInTheImagesOwnFiles) {
  write_lower("etc/passwd", "root:x:0:0::/root:/bin/sh\nweb:x:77:88::/srv/web:/bin/sh\n");
  write_lower("etc/group", "root:x:0:\nweb:x:88:\nlogs:x:99:other,web\n");
  user_ = "web";
  ASSERT_RAN(ran, run({"report"}));
  EXPECT_TRUE(ran.says("uid=77 gid=88 groups=88,99")) << ran.out;
  EXPECT_TRUE(ran.says("env HOME=/srv/web"));
}

TEST_F(Confinement, RefusesAUserThatTheImageDoesNotKnow) {
  user_ = "nobody-here";
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_EQ(ran.error().message(),
            "unable to find user nobody-here: no matching entries in passwd file");
  expect_nothing_left();
}

TEST_F(Confinement, RefusesAPasswdFileThatIsAFifo) {
  ASSERT_EQ(mkfifo((base_ / "lower/etc/passwd").c_str(), 0644), 0);
  user_ = "web";
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_NE(ran.error().message().find("'/etc/passwd' is not a regular file"), std::string::npos);
}

TEST_F(Confinement, SetsLimitsAndClampsThoseItMayNotRaise) {
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  spec_.process.rlimits = {{"RLIMIT_NOFILE", 512, 256}};
  ASSERT_RAN(lower, run({"report"}));
  EXPECT_TRUE(lower.says("nofile=256:512")) << lower.out;
  EXPECT_TRUE(warnings_.empty());
  rlim_t wanted = own.rlim_max + 1000;
  spec_.process.rlimits = {{"RLIMIT_NOFILE", wanted, wanted}};
  ASSERT_RAN(higher, run({"report"}));
  bool may_raise = prctl(PR_CAPBSET_READ, CAP_SYS_RESOURCE, 0, 0, 0) == 1;
  std::string most = std::to_string(may_raise ? wanted : own.rlim_max);
  EXPECT_TRUE(higher.says("nofile=" + most + ":" + most)) << higher.out;
  std::vector<std::string> clamped{"cannot raise RLIMIT_NOFILE to " + std::to_string(wanted) +
                                   "; using " + most};
  EXPECT_EQ(warnings_, may_raise ? std::vector<std::string>{} : clamped);
}

TEST_F(Confinement, SetsTheOutOfMemoryScore) {
  spec_.process.oom_score_adj = 321;
  ASSERT_RAN(ran, run({"read", "/proc/self/oom_score_adj"}));
  EXPECT_EQ(ran.out, "321\n");
}

TEST_F(Confinement, WritesOnlySysctlsOfItsOwnNamespaces) {
  ASSERT_RAN(ran, run({"read", "/proc/sys/net/ipv4/ip_unprivileged_port_start"}));
  EXPECT_EQ(ran.out, "0\n");
  spec_.sysctl = {{"kernel.core_pattern", "|/evil"}};
  auto refused = run({"report"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(),
            "the sysctl 'kernel.core_pattern' is not allowed in a container");
}

TEST_F(Confinement, IsInItsOwnCgroupAndSeesOnlyThat) {
  ASSERT_RAN(own, run({"read", "/proc/self/cgroup"}));
  EXPECT_TRUE(own.mentions("pids:" + cgroup_top_ + "/x\n")) << own.out;
  ASSERT_RAN(listed, run({"list", "/sys/fs/cgroup/pids"}));
  EXPECT_TRUE(listed.says("pids.max")) << listed.out;
  EXPECT_FALSE(listed.says("release_agent"));
  ASSERT_RAN(written, run({"write", "/sys/fs/cgroup/pids/pids.max", "max"}));
  EXPECT_EQ(written.out, "error " + std::to_string(EROFS) + "\n");
}

TEST_F(Confinement, HidesTheCgroupsPathInAPrivateCgroupNamespace) {
  spec_.namespaces.push_back({"cgroup", ""});
  ASSERT_RAN(own, run({"read", "/proc/self/cgroup"}));
  EXPECT_TRUE(own.mentions("pids:/\n")) << own.out;
  ASSERT_RAN(listed, run({"list", "/sys/fs/cgroup/pids"}));
  EXPECT_TRUE(listed.says("pids.max")) << listed.out;
}

TEST_F(Confinement, MasksFilesByTheNullDeviceAndDirectoriesByAnEmptyOne) {
  ASSERT_RAN(file, run({"read", "/proc/timer_list"}));
  EXPECT_EQ(file.out, "");
  ASSERT_RAN(node, run({"stat", "/proc/interrupts"}));
  EXPECT_TRUE(node.mentions("rdev=1:3")) << node.out;
  if (fs::exists("/sys/firmware")) {
    ASSERT_RAN(directory, run({"list", "/sys/firmware"}));
    EXPECT_EQ(directory.out, "");
    ASSERT_RAN(written, run({"write", "/sys/firmware/x", "x"}));
    EXPECT_EQ(written.out, "error " + std::to_string(EROFS) + "\n");
  }
  ASSERT_RAN(readonly, run({"write", "/proc/sys/kernel/hostname", "x"}));
  EXPECT_EQ(readonly.out, "error " + std::to_string(EROFS) + "\n");
}

TEST_F(Confinement, MakesTheDefaultDevicesAndLinks) {
  ASSERT_RAN(null, run({"stat", "/dev/null"}));
  EXPECT_TRUE(null.mentions("mode=20666 uid=0 gid=0 rdev=1:3")) << null.out;
  ASSERT_RAN(listed, run({"list", "/dev"}));
  for (const char* name : {"null", "zero", "full", "random", "urandom", "tty", "ptmx", "fd",
                           "stdin", "stdout", "stderr", "pts", "shm", "mqueue"})
    EXPECT_TRUE(listed.says(name)) << name;
  EXPECT_EQ(listed.says("core"), fs::exists("/proc/kcore"));
  EXPECT_FALSE(listed.says("console")) << "only with a terminal";
}

}  // namespace
}  // namespace wherry::runtime
