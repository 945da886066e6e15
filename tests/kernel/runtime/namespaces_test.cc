// User and time namespaces of bundles, made and joined, as seen from inside.
#include <sched.h>

#include <ctime>

#include "bundle_fixture.h"
#include "runtime/user_namespace.h"

namespace wherry::runtime {
namespace {

class Namespaces : public BundleTest {
 protected:
  void map_users(uint32_t host = 100000) {
    spec_.namespaces.push_back({"user", ""});
    spec_.sysctl.erase("net.ipv4.ping_group_range");  // groups that are not mapped
    spec_.uid_mappings = {{.container_id = 0, .host_id = host, .size = 65536}};
    spec_.gid_mappings = {{.container_id = 0, .host_id = host + 1, .size = 65536}};
    // As engines prepare such a root: it belongs to the container's root.
    for (const auto& entry : fs::recursive_directory_iterator(bundle_ / "rootfs"))
      ASSERT_EQ(lchown(entry.path().c_str(), host, host + 1), 0);
    ASSERT_EQ(lchown((bundle_ / "rootfs").c_str(), host, host + 1), 0);
  }
};

TEST_F(Namespaces, AUserNamespaceMapsItsRootToAnUnprivilegedUser) {
  map_users();
  ASSERT_RAN(map, run_bundle({"read", "/proc/self/uid_map"}));
  EXPECT_TRUE(map.mentions("0     100000      65536")) << map.out;
  ASSERT_RAN(report, run_bundle({"report"}));
  EXPECT_TRUE(report.says("uid=0 gid=0 groups=")) << report.out;
  EXPECT_TRUE(report.says("hostname=inside"));
  ASSERT_RAN(null, run_bundle({"stat", "/dev/null"}));
  EXPECT_TRUE(null.mentions("rdev=1:3")) << null.out;
  ASSERT_RAN(masked, run_bundle({"read", "/proc/interrupts"}));
  EXPECT_EQ(masked.out, "") << "masked by the null device";
  ASSERT_RAN(made, run_bundle({"write", "/made"}));
  EXPECT_EQ(made.out, "ok\n");
  struct stat status{};
  ASSERT_EQ(stat((bundle_ / "rootfs/made").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 100000u);
  EXPECT_EQ(status.st_gid, 100001u);
  expect_nothing_left();
}

TEST_F(Namespaces, AUserNamespaceWorksBehindDirectoriesOfRootAlone) {
  map_users();
  fs::permissions(bundle_, fs::perms(0700));
  ASSERT_RAN(ran, run_bundle({"exit", "3"}));
  EXPECT_EQ(ran.code, 3);
}

TEST_F(Namespaces, ExecEntersTheUserNamespaceAsWell) {
  map_users();
  spec_.process.args = {"/bin/payload", "wait"};
  options_.detached = true;
  std::string out = captured([&] {
    ASSERT_RAN(container, BundleContainer::create(options_));
    ASSERT_TRUE(container.start());
    BundleExecOptions exec;
    exec.spec = &spec_;
    exec.init_pid = container.pid();
    exec.init_start_time = container.start_time();
    exec.cgroup = container.cgroup();
    exec.process = spec_.process;
    exec.process.oom_score_adj = 300;
    exec.process.user = {.uid = 5, .gid = 6};
    exec.process.args = {"payload", "report"};
    ASSERT_RAN(process, exec_in_bundle(exec));
    ASSERT_TRUE(process.reap());
    exec.process.args = {"payload", "traits"};
    ASSERT_RAN(scored, exec_in_bundle(exec));
    ASSERT_TRUE(scored.reap());
    ASSERT_TRUE(end_bundle(container));
  });
  EXPECT_NE(out.find("uid=5 gid=6"), std::string::npos) << out;
  EXPECT_NE(out.find("\n300\n"), std::string::npos) << out;
}

TEST_F(Namespaces, AnExistingUserNamespaceOwnsTheNewOnesOfItsContainer) {
  map_users();
  auto users = make_user_namespace(spec_.uid_mappings, spec_.gid_mappings);
  ASSERT_TRUE(users) << users.error().message();
  spec_.namespaces.back().path =
      "/proc/" + std::to_string(getpid()) + "/fd/" + std::to_string(users->get());
  spec_.uid_mappings.clear();
  spec_.gid_mappings.clear();
  ASSERT_RAN(map, run_bundle({"read", "/proc/self/uid_map"}));
  EXPECT_TRUE(map.mentions("0     100000      65536")) << map.out;
  ASSERT_RAN(report, run_bundle({"report"}));
  EXPECT_TRUE(report.says("hostname=inside")) << "the uts namespace is its own: " << report.out;
  EXPECT_TRUE(report.mentions("pid=1 "));
  expect_nothing_left();
}

TEST_F(Namespaces, MappingsThatCannotBeAreRefused) {
  spec_.uid_mappings = {{.container_id = 0, .host_id = 1, .size = 1}};
  auto without = run_bundle({"report"});
  ASSERT_FALSE(without);
  EXPECT_EQ(without.error().message(), "linux.uidMappings and gidMappings need a user namespace");
  spec_.namespaces.push_back({"user", ""});
  auto half = run_bundle({"report"});
  ASSERT_FALSE(half);
  EXPECT_EQ(half.error().message(),
            "a new user namespace needs linux.uidMappings and linux.gidMappings");
}

TEST_F(Namespaces, ATimeNamespaceHasItsOwnClocks) {
  spec_.namespaces.push_back({"time", ""});
  spec_.time_offsets = {{"boottime", {.secs = 1'000'000, .nanosecs = 0}}};
  ASSERT_RAN(ran, run_bundle({"traits"}));
  timespec boot{};
  clock_gettime(CLOCK_BOOTTIME, &boot);
  const size_t at = ran.out.find("boot=");
  ASSERT_NE(at, std::string::npos) << ran.out;
  EXPECT_NEAR(static_cast<double>(std::atol(ran.out.c_str() + at + 5)),
              static_cast<double>(boot.tv_sec + 1'000'000), 60);
  timespec own{};
  clock_gettime(CLOCK_BOOTTIME, &own);
  EXPECT_LT(own.tv_sec, 1'000'000 + boot.tv_sec) << "ours are as they were";
}

TEST_F(Namespaces, ExecLivesByTheContainersClocks) {
  spec_.namespaces.push_back({"time", ""});
  spec_.time_offsets = {{"boottime", {.secs = 2'000'000, .nanosecs = 0}}};
  spec_.process.args = {"/bin/payload", "wait"};
  std::string out = captured([&] {
    ASSERT_RAN(container, BundleContainer::create(options_));
    ASSERT_TRUE(container.start());
    BundleExecOptions exec;
    exec.spec = &spec_;
    exec.init_pid = container.pid();
    exec.init_start_time = container.start_time();
    exec.cgroup = container.cgroup();
    exec.process = spec_.process;
    exec.process.args = {"payload", "traits"};
    ASSERT_RAN(process, exec_in_bundle(exec));
    ASSERT_TRUE(process.reap());
    ASSERT_TRUE(end_bundle(container));
  });
  const size_t at = out.find("boot=");
  ASSERT_NE(at, std::string::npos) << out;
  EXPECT_GE(std::atol(out.c_str() + at + 5), 2'000'000);
}

TEST_F(Namespaces, OffsetsNeedATimeNamespace) {
  spec_.time_offsets = {{"boottime", {.secs = 1, .nanosecs = 0}}};
  auto ran = run_bundle({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(), "linux.timeOffsets need a new time namespace");
}

}  // namespace
}  // namespace wherry::runtime
