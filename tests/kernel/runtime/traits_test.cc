// Scheduling, I/O priority, personality, memory policy, limits, labels and capabilities of a
// bundle's processes; and what mounts of bundles can do beyond an engine's own.
#include <sys/personality.h>
#include <sys/resource.h>

#include "bundle_fixture.h"

namespace wherry::runtime {
namespace {

using Traits = BundleTest;

TEST_F(Traits, TheProcessIsScheduledAsTheSpecificationSays) {
  spec_.process.scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 5};
  spec_.process.io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_BE", .priority = 6};
  spec_.personality = oci::Personality{.domain = "LINUX32", .flags = {}};
  spec_.memory_policy = oci::MemoryPolicy{.mode = "MPOL_BIND", .nodes = "0", .flags = {}};
  spec_.process.oom_score_adj = 500;
  ASSERT_RAN(ran, run_bundle({"traits"}));
  EXPECT_TRUE(ran.says("policy=3 nice=5")) << ran.out;
  EXPECT_TRUE(ran.says("io=2:6")) << ran.out;
  EXPECT_TRUE(ran.says("personality=8")) << ran.out;
  EXPECT_TRUE(ran.says("memory=2:1")) << ran.out;
  EXPECT_TRUE(ran.says("500")) << ran.out;
}

TEST_F(Traits, ThePersonalityHoldsForAnExecToo) {
  spec_.personality = oci::Personality{.domain = "LINUX32", .flags = {}};
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
  EXPECT_NE(out.find("personality=8\n"), std::string::npos) << out;
}

TEST_F(Traits, ProcessorsOfAnExecAreTheFinalOnesAndTheInitHasNone) {
  spec_.process.exec_cpu_affinity = oci::CpuAffinity{.initial = "0", .final_cpus = "0"};
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
    exec.process.exec_cpu_affinity.reset();
    ASSERT_RAN(free, exec_in_bundle(exec));
    ASSERT_TRUE(free.reap());
    ASSERT_TRUE(end_bundle(container));
  });
  EXPECT_NE(out.find("cpus=1\n"), std::string::npos) << out;
  EXPECT_NE(out.find("cpus=3\n"), std::string::npos) << "two processors on this machine: " << out;
}

TEST_F(Traits, ALimitThatMayNotBeRaisedIsClampedWithAWarning) {
  spec_.process.rlimits = {{.type = "RLIMIT_NOFILE", .hard = 1 << 30, .soft = 1 << 30}};
  ASSERT_RAN(ran, run_bundle({"report"}));
  rlimit own{};
  getrlimit(RLIMIT_NOFILE, &own);
  EXPECT_TRUE(
      ran.says("nofile=" + std::to_string(own.rlim_max) + ":" + std::to_string(own.rlim_max)))
      << ran.out;
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_NE(warnings_[0].find("cannot raise RLIMIT_NOFILE"), std::string::npos);
}

TEST_F(Traits, AnUnknownCapabilityIsAWarningAndNotAnError) {
  spec_.process.capabilities.bounding.push_back("CAP_FLY");
  ASSERT_RAN(ran, run_bundle({"report"}));
  EXPECT_TRUE(ran.says("CapBnd:\t00000000a80425fb")) << ran.out;
  EXPECT_TRUE(ran.says("CapInh:\t0000000000000000")) << ran.out;
  ASSERT_EQ(warnings_.size(), 1u);
  EXPECT_EQ(warnings_[0], "ignoring unknown or unavailable capability 'CAP_FLY'");
}

TEST_F(Traits, ALabelOfAModuleThatIsNotThereIsRefusedByName) {
  spec_.process.apparmor_profile = "wherry-default";
  auto apparmor = run_bundle({"report"});
  ASSERT_FALSE(apparmor);
  EXPECT_EQ(apparmor.error().message(),
            "cannot apply the AppArmor profile 'wherry-default': this host has no AppArmor");
  spec_.process.apparmor_profile = "unconfined";
  ASSERT_RAN(unconfined, run_bundle({"exit", "0"}));
  spec_.process.selinux_label = "a:b:c:s0";
  auto selinux = run_bundle({"report"});
  ASSERT_FALSE(selinux);
  EXPECT_EQ(selinux.error().message(),
            "cannot apply the SELinux label 'a:b:c:s0': this host has no SELinux");
  spec_.process.selinux_label.clear();
  spec_.mount_label = "a:b:d:s0";
  auto mounts = run_bundle({"report"});
  ASSERT_FALSE(mounts);
  EXPECT_EQ(mounts.error().message(),
            "cannot apply the SELinux label 'a:b:d:s0': this host has no SELinux");
}

TEST_F(Traits, ATmpfsIsFilledFromTheImage) {
  fs::create_directories(bundle_ / "rootfs/data/deep");
  std::ofstream(bundle_ / "rootfs/data/deep/file") << "hello\n";
  spec_.mounts.push_back({"/data", "tmpfs", "tmpfs", {"tmpcopyup", "ro"}});
  ASSERT_RAN(ran, run_bundle({"read", "/data/deep/file"}));
  EXPECT_EQ(ran.out, "hello\n");
  ASSERT_RAN(refused, run_bundle({"write", "/data/new"}));
  EXPECT_EQ(refused.out, "error " + std::to_string(EROFS) + "\n");
}

TEST_F(Traits, AnIdmappedBindShowsOtherOwners) {
  fs::create_directories(base_ / "volume");
  std::ofstream(base_ / "volume/file") << "x";
  ASSERT_EQ(chown((base_ / "volume/file").c_str(), 7, 8), 0);
  oci::Mount mount{"/data", "bind", base_ / "volume", {"bind", "idmap"}};
  mount.uid_mappings = {{.container_id = 0, .host_id = 1000, .size = 100}};
  mount.gid_mappings = {{.container_id = 0, .host_id = 2000, .size = 100}};
  spec_.mounts.push_back(mount);
  ASSERT_RAN(ran, run_bundle({"stat", "/data/file"}));
  EXPECT_TRUE(ran.mentions("uid=1007 gid=2008")) << ran.out;
  spec_.mounts.back().uid_mappings.clear();
  spec_.mounts.back().gid_mappings.clear();
  auto refused = run_bundle({"report"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("'idmap' needs mappings"), std::string::npos);
}

TEST_F(Traits, RecursiveOptionsReachTheMountsBelow) {
  fs::create_directories(base_ / "tree/below");
  ASSERT_EQ(mount("tmpfs", (base_ / "tree/below").c_str(), "tmpfs", 0, nullptr), 0);
  spec_.mounts.push_back({"/flat", "bind", base_ / "tree", {"rbind", "ro"}});
  spec_.mounts.push_back({"/deep", "bind", base_ / "tree", {"rbind", "rro"}});
  ASSERT_RAN(flat, run_bundle({"write", "/flat/below/x"}));
  EXPECT_EQ(flat.out, "ok\n");
  ASSERT_RAN(deep, run_bundle({"write", "/deep/below/y"}));
  EXPECT_EQ(deep.out, "error " + std::to_string(EROFS) + "\n");
  umount2((base_ / "tree/below").c_str(), MNT_DETACH);
}

TEST_F(Traits, AnOverlayWithLongParametersIsMountedAsOneOfTheSpecifications) {
  std::string lower;
  for (int i = 0; i < 8; ++i) {
    const fs::path layer = base_ / ("layer-with-a-long-name-for-the-test-" + std::to_string(i));
    fs::create_directories(layer);
    std::ofstream(layer / ("f" + std::to_string(i))) << "x";
    lower += (i == 0 ? "" : ":") + layer.string();
  }
  ASSERT_GT(lower.size(), 255u);
  spec_.mounts.push_back({"/over", "overlay", "overlay", {"lowerdir=" + lower, "ro"}});
  ASSERT_RAN(ran, run_bundle({"list", "/over"}));
  EXPECT_TRUE(ran.says("f0") && ran.says("f7")) << ran.out;
}

TEST_F(Traits, AnOptionThatNobodyKnowsIsTheFileSystemsToRefuse) {
  spec_.mounts.push_back({"/data", "tmpfs", "tmpfs", {"sizee=1"}});
  auto ran = run_bundle({"report"});
  ASSERT_FALSE(ran);
  EXPECT_NE(ran.error().message().find("cannot mount '/data': cannot set 'sizee=1' of 'tmpfs'"),
            std::string::npos)
      << ran.error().message();
}

TEST_F(Traits, OnlyAProcfsMayBeBoundOverProc) {
  fs::create_directories(base_ / "fake");
  std::erase_if(spec_.mounts, [](const oci::Mount& one) { return one.destination == "/proc"; });
  spec_.mounts.insert(spec_.mounts.begin(), {"/proc", "bind", base_ / "fake", {"rbind"}});
  auto refused = run_bundle({"report"});
  ASSERT_FALSE(refused);
  EXPECT_NE(refused.error().message().find("nothing but a procfs may be mounted on '/proc'"),
            std::string::npos)
      << refused.error().message();
  spec_.mounts.front().source = "/proc";
  ASSERT_RAN(ran, run_bundle({"exit", "0"}));
}

TEST_F(Traits, ARelativeSourceLiesInTheBundle) {
  fs::create_directories(bundle_ / "own");
  std::ofstream(bundle_ / "own/file") << "mine";
  spec_.mounts.push_back({"data", "bind", "own", {"bind"}});
  ASSERT_RAN(ran, run_bundle({"read", "/data/file"}));
  EXPECT_EQ(ran.out, "mine");
}

TEST_F(Traits, DevicesThatEveryContainerHasMayBeUsedWhateverTheRulesSay) {
  spec_.resources.devices = {{.allow = false, .type = 'a'}};
  ASSERT_RAN(ran, run_bundle({"write", "/dev/null"}));
  EXPECT_EQ(ran.out, "ok\n");
}

TEST_F(Traits, DevicesHaveTheirNumbersModesAndOwners) {
  spec_.devices = {{.path = "/dev/deep/mine",
                    .type = 'c',
                    .major = 1,
                    .minor = 5,
                    .file_mode = 0640,
                    .uid = 7,
                    .gid = 8},
                   {.path = "/dev/pipe", .type = 'p', .file_mode = 0600}};
  ASSERT_RAN(ran, run_bundle({"stat", "/dev/deep/mine"}));
  EXPECT_TRUE(ran.mentions("mode=20640 uid=7 gid=8 rdev=1:5")) << ran.out;
  ASSERT_RAN(pipe, run_bundle({"stat", "/dev/pipe"}));
  EXPECT_TRUE(pipe.mentions("mode=10600 ")) << pipe.out;
}

TEST_F(Traits, NamesAndTheRootsPropagationAreTheSpecifications) {
  spec_.domainname = "example";
  ASSERT_RAN(report, run_bundle({"report"}));
  EXPECT_TRUE(report.says("domainname=example")) << report.out;
  auto root_line = [&](const std::string& text) {
    std::istringstream lines(text);
    for (std::string line; std::getline(lines, line);)
      if (line.find(" / / ") != std::string::npos || line.find("/rootfs / ") != std::string::npos)
        return line;
    return std::string();
  };
  ASSERT_RAN(unspoken, run_bundle({"read", "/proc/self/mountinfo"}));
  EXPECT_EQ(root_line(unspoken.out).find("shared:"), std::string::npos) << unspoken.out;
  EXPECT_FALSE(root_line(unspoken.out).empty()) << unspoken.out;
  spec_.rootfs_propagation = "shared";
  ASSERT_RAN(shared, run_bundle({"read", "/proc/self/mountinfo"}));
  EXPECT_NE(root_line(shared.out).find("shared:"), std::string::npos) << shared.out;
  spec_.rootfs_propagation = "sideways";
  auto refused = run_bundle({"report"});
  ASSERT_FALSE(refused);
  EXPECT_EQ(refused.error().message(), "unknown root propagation 'sideways'");
}

TEST_F(Traits, ASlaveOfARootHearsOfTheHostsMountsAndAPrivateOneDoesNot) {
  ASSERT_EQ(mount(nullptr, base_.c_str(), nullptr, MS_SHARED, nullptr), 0);
  fs::create_directories(bundle_ / "rootfs/data");
  spec_.process.args = {"/bin/payload", "wait"};
  for (const char* propagation : {"rslave", "private"}) {
    spec_.rootfs_propagation = propagation;
    std::string out = captured([&] {
      ASSERT_RAN(container, BundleContainer::create(options_));
      ASSERT_TRUE(container.start());
      ASSERT_EQ(mount("tmpfs", (bundle_ / "rootfs/data").c_str(), "tmpfs", 0, nullptr), 0);
      std::ofstream(bundle_ / "rootfs/data/arrived") << "x";
      BundleExecOptions exec;
      exec.spec = &spec_;
      exec.init_pid = container.pid();
      exec.init_start_time = container.start_time();
      exec.cgroup = container.cgroup();
      exec.process = spec_.process;
      exec.process.args = {"payload", "list", "/data"};
      ASSERT_RAN(process, exec_in_bundle(exec));
      ASSERT_TRUE(process.reap());
      ASSERT_TRUE(end_bundle(container));
      ASSERT_EQ(umount2((bundle_ / "rootfs/data").c_str(), MNT_DETACH), 0);
    });
    EXPECT_EQ(out.find("arrived") != std::string::npos, propagation == std::string("rslave"))
        << propagation << ": " << out;
  }
}

using NetDevices = BundleTest;

// The test has a network namespace of its own.
bool make_link(const std::string& words) {
  return system(("ip link " + words + " 2>/dev/null").c_str()) == 0;
}

TEST_F(NetDevices, MoveIntoTheContainerUnderTheirNewNames) {
  ASSERT_TRUE(make_link("add wtdev0 type veth peer name wtpeer0"));
  ASSERT_EQ(system("ip addr add 10.99.1.2/24 dev wtdev0"), 0);
  spec_.net_devices = {{"wtdev0", {.name = "data0"}}};
  ASSERT_RAN(ran, run_bundle({"read", "/proc/net/dev"}));
  EXPECT_TRUE(ran.mentions("data0:")) << ran.out;
  EXPECT_FALSE(ran.mentions("wtdev0:")) << ran.out;
  auto gone = run_bundle({"report"});
  ASSERT_FALSE(gone);
  EXPECT_EQ(gone.error().message(),
            "cannot move the network device 'wtdev0': there is no such device");
  make_link("del wtpeer0");
}

TEST_F(NetDevices, KeepTheirAddresses) {
  ASSERT_TRUE(make_link("add wtdev1 type veth peer name wtpeer1"));
  ASSERT_EQ(system("ip addr add 10.99.2.2/24 dev wtdev1 && ip link set wtpeer1 up"), 0);
  spec_.net_devices = {{"wtdev1", {}}};
  ASSERT_RAN(ran, run_bundle({"read", "/proc/net/fib_trie"}));
  EXPECT_TRUE(ran.mentions("10.99.2.2")) << ran.out;
  make_link("del wtpeer1");
}

TEST_F(Traits, AMemoryLimitBelowWhatIsUsedIsRefusedWhenAsked) {
  spec_.process.args = {"/bin/payload", "wait"};
  captured([&] {
    ASSERT_RAN(container, BundleContainer::create(options_));
    ASSERT_TRUE(container.start());
    oci::Resources resources;
    resources.memory_limit = 4096;
    resources.memory_check_before_update = true;
    std::vector<std::string> warnings;
    auto updated = update_cgroup(container.cgroup(), resources, warnings);
    EXPECT_FALSE(updated);
    if (!updated) {
      EXPECT_NE(updated.error().message().find("unable to set memory limit to 4096"),
                std::string::npos);
    }
    resources.memory_limit = 1 << 30;
    EXPECT_TRUE(update_cgroup(container.cgroup(), resources, warnings));
    auto stats = cgroup_stats(container.cgroup());
    ASSERT_TRUE(stats);
    EXPECT_EQ(stats->memory.limit, uint64_t{1} << 30);
    ASSERT_TRUE(end_bundle(container));
  });
}

}  // namespace
}  // namespace wherry::runtime
