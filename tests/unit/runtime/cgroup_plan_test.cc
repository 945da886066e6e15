#include "runtime/cgroup_plan.h"

#include <gtest/gtest.h>

#include "runtime/cgroup_hierarchies.h"

namespace wherry::runtime {
namespace {

const ControllerPlaces kV1{.v1 = {"cpu", "cpuset", "memory", "pids", "blkio", "devices", "freezer"},
                           .v2 = {"hugetlb"},
                           .v2_mounted = true};
const ControllerPlaces kV2{
    .v1 = {}, .v2 = {"cpu", "cpuset", "memory", "pids", "io"}, .v2_mounted = true};

oci::Resources full() {
  oci::Resources resources;
  resources.devices = {{.allow = false, .type = 'a'},
                       {.allow = true, .type = 'c', .major = 1, .minor = 3, .access = "rw"},
                       {.allow = true, .type = 'b', .access = "m"}};
  resources.memory_limit = 100;
  resources.memory_swap = 150;
  resources.memory_reservation = 50;
  resources.memory_swappiness = 10;
  resources.memory_disable_oom_killer = true;
  resources.cpu_shares = 1024;
  resources.cpu_quota = 50'000;
  resources.cpu_period = 200'000;
  resources.cpuset_cpus = "0-1";
  resources.cpuset_mems = "0";
  resources.pids_limit = 7;
  resources.blkio_weight = 500;
  return resources;
}

std::vector<std::string> lines(const CgroupPlan& plan) {
  std::vector<std::string> result;
  for (const CgroupValue& value : plan.values) {
    result.push_back("v" + std::to_string(value.version) + " " + value.file + "=" + value.value +
                     (value.required ? "" : " ?"));
  }
  return result;
}

using Lines = std::vector<std::string>;

TEST(CgroupPlan, OneResourceBlockInVersion1) {
  const auto plan = plan_cgroup(full(), kV1);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(lines(*plan),
            (Lines{"v1 memory.limit_in_bytes=100", "v1 memory.memsw.limit_in_bytes=150 ?",
                   "v1 memory.soft_limit_in_bytes=50 ?", "v1 memory.swappiness=10 ?",
                   "v1 memory.oom_control=1 ?", "v1 cpu.shares=1024", "v1 cpu.cfs_period_us=200000",
                   "v1 cpu.cfs_quota_us=50000", "v1 cpuset.cpus=0-1", "v1 cpuset.mems=0",
                   "v1 pids.max=7", "v1 blkio.weight=500 ?", "v1 devices.deny=a",
                   "v1 devices.allow=c 1:3 rw", "v1 devices.allow=b *:* m"}));
  EXPECT_TRUE(plan->device_program.empty());
  EXPECT_TRUE(plan->warnings.empty());
}

TEST(CgroupPlan, TheSameBlockInVersion2) {
  const auto plan = plan_cgroup(full(), kV2);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(lines(*plan),
            (Lines{"v2 memory.max=100", "v2 memory.swap.max=50 ?", "v2 memory.low=50 ?",
                   "v2 cpu.weight=100", "v2 cpu.max=50000 200000", "v2 cpuset.cpus=0-1",
                   "v2 cpuset.mems=0", "v2 pids.max=7", "v2 io.weight=4950 ?"}));
  EXPECT_EQ(plan->device_program.size(), 3u);
  ASSERT_EQ(plan->warnings.size(), 2u);
  EXPECT_NE(plan->warnings[0].find("swappiness"), std::string::npos);
  EXPECT_NE(plan->warnings[1].find("OOM"), std::string::npos);
}

TEST(CgroupPlan, MinusOneIsUnlimited) {
  oci::Resources resources;
  resources.memory_limit = -1;
  resources.memory_swap = -1;
  resources.cpu_quota = -1;
  resources.pids_limit = -1;
  EXPECT_EQ(lines(*plan_cgroup(resources, kV1)),
            (Lines{"v1 memory.limit_in_bytes=-1", "v1 memory.memsw.limit_in_bytes=-1 ?",
                   "v1 cpu.cfs_quota_us=-1", "v1 pids.max=max"}));
  EXPECT_EQ(lines(*plan_cgroup(resources, kV2)),
            (Lines{"v2 memory.max=max", "v2 memory.swap.max=max ?", "v2 cpu.max=max 100000",
                   "v2 pids.max=max"}));
}

TEST(CgroupPlan, SwapEqualToMemoryMeansNoSwap) {
  oci::Resources resources;
  resources.memory_limit = 100;
  resources.memory_swap = 100;
  EXPECT_EQ(lines(*plan_cgroup(resources, kV2)),
            (Lines{"v2 memory.max=100", "v2 memory.swap.max=0 ?"}));
}

TEST(CgroupPlan, RefusesSwapThatMakesNoSense) {
  oci::Resources resources;
  resources.memory_swap = 100;
  EXPECT_EQ(plan_cgroup(resources, kV2).error().kind(), ErrorKind::kInvalidArgument);
  resources.memory_limit = 200;
  const auto plan = plan_cgroup(resources, kV1);
  ASSERT_FALSE(plan);
  EXPECT_NE(plan.error().message().find("'100'"), std::string::npos);
}

TEST(CgroupPlan, NothingAskedIsNothingWritten) {
  for (const ControllerPlaces& places : {kV1, kV2, ControllerPlaces{}}) {
    const auto plan = plan_cgroup({}, places);
    ASSERT_TRUE(plan);
    EXPECT_TRUE(plan->values.empty());
    EXPECT_TRUE(plan->warnings.empty());
  }
}

TEST(CgroupPlan, AHostWithoutTheControllerIsAnErrorWithARemedy) {
  const auto refused = [](auto change, const char* controller) {
    oci::Resources resources;
    change(resources);
    const auto plan = plan_cgroup(resources, ControllerPlaces{});
    ASSERT_FALSE(plan) << controller;
    EXPECT_EQ(plan.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(plan.error().message().find(std::string("'") + controller + "'"), std::string::npos)
        << plan.error().message();
    EXPECT_FALSE(plan.error().hint().empty());
  };
  refused([](auto& r) { r.memory_limit = 1; }, "memory");
  refused([](auto& r) { r.memory_limit = 1, r.memory_swap = -1; }, "memory");
  refused([](auto& r) { r.cpu_quota = 1000; }, "cpu");
  refused([](auto& r) { r.cpu_shares = 2; }, "cpu");
  refused([](auto& r) { r.cpuset_cpus = "0"; }, "cpuset");
  refused([](auto& r) { r.pids_limit = 1; }, "pids");
  refused([](auto& r) { r.devices = {{.allow = false}}; }, "devices");
  refused([](auto& r) { r.unified = {{"memory.high", "1"}}; }, "memory");
}

TEST(CgroupPlan, PreferencesWithoutAControllerAreWarnings) {
  oci::Resources resources;
  resources.memory_reservation = 1;
  resources.blkio_weight = 100;
  resources.pids_limit = 0;  // unlimited: nothing is lost
  const auto plan = plan_cgroup(resources, ControllerPlaces{});
  ASSERT_TRUE(plan);
  EXPECT_TRUE(plan->values.empty());
  EXPECT_EQ(plan->warnings.size(), 2u);
}

TEST(CgroupPlan, RealTimeLimitsNeedVersion1) {
  oci::Resources resources;
  resources.cpu_realtime_runtime = 1000;
  EXPECT_EQ(lines(*plan_cgroup(resources, kV1)), (Lines{"v1 cpu.rt_runtime_us=1000"}));
  EXPECT_EQ(plan_cgroup(resources, kV2).error().kind(), ErrorKind::kUnsupported);
}

TEST(CgroupPlan, UnifiedFilesAreTakenVerbatimAndCannotSteerProcesses) {
  oci::Resources resources;
  resources.unified = {{"cgroup.max.depth", "3"}, {"memory.high", "max"}};
  EXPECT_EQ(lines(*plan_cgroup(resources, kV2)),
            (Lines{"v2 cgroup.max.depth=3", "v2 memory.high=max"}));
  for (const char* file :
       {"cgroup.procs", "cgroup.kill", "../memory.max", "memory", ".x", "memory.max/../../x"}) {
    resources.unified = {{file, "1"}};
    EXPECT_EQ(plan_cgroup(resources, kV2).error().kind(), ErrorKind::kInvalidArgument) << file;
  }
}

TEST(CgroupPlan, RefusesDeviceRulesThatAreNone) {
  for (const oci::DeviceRule& rule :
       {oci::DeviceRule{.type = 'u'}, oci::DeviceRule{.type = 'c', .access = ""},
        oci::DeviceRule{.type = 'c', .access = "rx"}, oci::DeviceRule{.type = 'c', .major = -1},
        oci::DeviceRule{.type = 'c', .minor = int64_t{1} << 32}}) {
    oci::Resources resources;
    resources.devices = {rule};
    EXPECT_EQ(plan_cgroup(resources, kV1).error().kind(), ErrorKind::kInvalidArgument);
  }
}

TEST(CgroupPlan, DeviceLinesKeepNumbersBehindTypeAll) {
  EXPECT_EQ(device_rule_lines({.allow = true, .type = 'a'}), (Lines{"a"}));
  EXPECT_EQ(device_rule_lines({.allow = true, .type = 'a', .access = "r"}),
            (Lines{"b *:* r", "c *:* r"}));
  EXPECT_EQ(device_rule_lines({.allow = true, .type = 'a', .major = 4}),
            (Lines{"b 4:* rwm", "c 4:* rwm"}));
  EXPECT_EQ(device_rule_lines({.allow = true, .type = 'c', .major = 136, .access = "rwm"}),
            (Lines{"c 136:* rwm"}));
}

TEST(CgroupPlan, WritesADeviceRuleOnceUntilOneOfTheOtherKindComes) {
  const oci::DeviceRule none{.allow = false, .type = 'a'};
  const oci::DeviceRule null{.allow = true, .type = 'c', .major = 1, .minor = 3};
  const oci::DeviceRule zero{.allow = true, .type = 'c', .major = 1, .minor = 5};
  oci::Resources resources;
  resources.devices = {none, none, null, zero, null, none, null, null};
  const auto plan = plan_cgroup(resources, kV1);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(lines(*plan),
            (Lines{"v1 devices.deny=a", "v1 devices.allow=c 1:3 rwm", "v1 devices.allow=c 1:5 rwm",
                   "v1 devices.deny=a", "v1 devices.allow=c 1:3 rwm"}));
}

TEST(CgroupPlan, SharesBecomeWeightsWithinBounds) {
  EXPECT_EQ(cpu_weight_from_shares(0), 1u);
  EXPECT_EQ(cpu_weight_from_shares(2), 1u);
  EXPECT_EQ(cpu_weight_from_shares(1024), 100u);
  EXPECT_EQ(cpu_weight_from_shares(262'144), 10'000u);
  EXPECT_EQ(cpu_weight_from_shares(UINT64_MAX), 10'000u);
  for (uint64_t shares = 2; shares < 262'144; shares += 97) {
    EXPECT_LE(cpu_weight_from_shares(shares), cpu_weight_from_shares(shares + 97));
  }
  EXPECT_EQ(io_weight_from_blkio(10), 1u);
  EXPECT_EQ(io_weight_from_blkio(1000), 10'000u);
}

TEST(CgroupHierarchies, ReadsHybridMounts) {
  const Hierarchies found = parse_hierarchies(
      "31 23 0:28 / /sys/fs/cgroup rw,relatime - tmpfs tmpfs rw,mode=755\n"
      "32 31 0:29 / /sys/fs/cgroup/cpu,cpuacct rw,relatime shared:9 - cgroup cgroup "
      "rw,cpu,cpuacct\n"
      "33 31 0:30 / /sys/fs/cgroup/a\\040b rw - cgroup cgroup "
      "rw,xattr,release_agent=/x,name=systemd\n"
      "34 31 0:31 / /sys/fs/cgroup/memory ro,relatime - cgroup cgroup rw,memory\n"
      "35 31 0:29 / /elsewhere rw - cgroup cgroup rw,cpu,cpuacct\n"
      "36 31 0:38 / /sys/fs/cgroup/unified rw,relatime - cgroup2 cgroup2 rw,nsdelegate\n"
      "short - cgroup\n");
  ASSERT_EQ(found.v1.size(), 2u);
  EXPECT_EQ(found.v1[0].mount, "/sys/fs/cgroup/cpu,cpuacct");
  EXPECT_EQ(found.v1[0].controllers, (Lines{"cpu", "cpuacct"}));
  EXPECT_EQ(found.v1[1].mount, "/sys/fs/cgroup/a b");
  EXPECT_EQ(found.v1[1].controllers, (Lines{"name=systemd"}));
  EXPECT_EQ(found.v2_mount, "/sys/fs/cgroup/unified");
}

TEST(CgroupHierarchies, ReadsPureVersion2) {
  const Hierarchies found =
      parse_hierarchies("30 23 0:26 / /sys/fs/cgroup rw,nosuid - cgroup2 cgroup2 rw\n");
  EXPECT_TRUE(found.v1.empty());
  EXPECT_EQ(found.v2_mount, "/sys/fs/cgroup");
}

TEST(CgroupHierarchies, PathsStayBelowTheMount) {
  EXPECT_EQ(*split_cgroups_path("/wherry/abc"), (Lines{"wherry", "abc"}));
  for (const char* path : {"", "/", "wherry", "/a//b", "/a/", "/..", "/a/../b", "/a/.", "/a\nb"}) {
    EXPECT_EQ(split_cgroups_path(path).error().kind(), ErrorKind::kInvalidArgument) << path;
  }
  EXPECT_FALSE(split_cgroups_path("/" + std::string(256, 'x')));
}

oci::Resources rest() {
  oci::Resources resources;
  resources.memory_kernel = 10;
  resources.memory_kernel_tcp = 11;
  resources.cpu_shares = 512;
  resources.cpu_quota = 1000;
  resources.cpu_burst = 500;
  resources.cpu_idle = 1;
  resources.blkio_leaf_weight = 20;
  resources.blkio_weight_device = {{.major = 8, .minor = 0, .weight = 100, .leaf_weight = 30}};
  resources.throttle_read_bps = {{.major = 8, .minor = 0, .rate = 1}};
  resources.throttle_write_bps = {{.major = 8, .minor = 0, .rate = 2}};
  resources.throttle_read_iops = {{.major = 8, .minor = 0, .rate = 3}};
  resources.throttle_write_iops = {{.major = 8, .minor = 0, .rate = 0}};
  resources.hugepage_limits = {{.page_size = "2MB", .limit = 4}};
  resources.rdma = {{"mlx5_1", {.hca_handles = 3, .hca_objects = 4}}};
  return resources;
}

TEST(CgroupPlan, WritesTheRarerResourcesInTheDialectOfEachVersion) {
  ControllerPlaces v1 = kV1;
  v1.v1.insert({"hugetlb", "rdma"});
  v1.v2.clear();
  const auto one = plan_cgroup(rest(), v1);
  ASSERT_TRUE(one) << one.error().message();
  EXPECT_EQ(
      lines(*one),
      (std::vector<std::string>{
          "v1 memory.kmem.tcp.limit_in_bytes=11 ?", "v1 cpu.idle=1", "v1 cpu.cfs_quota_us=1000",
          "v1 cpu.cfs_burst_us=500", "v1 blkio.leaf_weight=20 ?",
          "v1 blkio.weight_device=8:0 100 ?", "v1 blkio.leaf_weight_device=8:0 30 ?",
          "v1 blkio.throttle.read_bps_device=8:0 1", "v1 blkio.throttle.write_bps_device=8:0 2",
          "v1 blkio.throttle.read_iops_device=8:0 3", "v1 blkio.throttle.write_iops_device=8:0 0",
          "v1 hugetlb.2MB.limit_in_bytes=4", "v1 hugetlb.2MB.rsvd.limit_in_bytes=4 ?",
          "v1 rdma.max=mlx5_1 hca_handle=3 hca_object=4"}));
  EXPECT_EQ(one->warnings,
            Lines{"the limit of kernel memory is not applied: kernels have none any more"});
  ControllerPlaces v2 = kV2;
  v2.v2.insert({"hugetlb", "rdma"});
  const auto two = plan_cgroup(rest(), v2);
  ASSERT_TRUE(two) << two.error().message();
  EXPECT_EQ(lines(*two),
            (std::vector<std::string>{
                "v2 cpu.idle=1", "v2 cpu.max=1000 100000", "v2 cpu.max.burst=500",
                "v2 io.bfq.weight=8:0 100 ?", "v2 io.max=8:0 rbps=1", "v2 io.max=8:0 wbps=2",
                "v2 io.max=8:0 riops=3", "v2 io.max=8:0 wiops=max", "v2 hugetlb.2MB.max=4",
                "v2 hugetlb.2MB.rsvd.max=4 ?", "v2 rdma.max=mlx5_1 hca_handle=3 hca_object=4"}));
  EXPECT_EQ(two->warnings.size(), 3u) << "kernel memory and two leaf weights";
}

TEST(CgroupPlan, NamesTheControllerThatARarerResourceNeeds) {
  oci::Resources network;
  network.network_class_id = 1;
  EXPECT_NE(plan_cgroup(network, kV2).error().message().find("'net_cls'"), std::string::npos);
  oci::Resources priorities;
  priorities.network_priorities = {{"lo", 1}};
  EXPECT_NE(plan_cgroup(priorities, kV2).error().message().find("'net_prio'"), std::string::npos);
  oci::Resources rdma;
  rdma.rdma = {{"x", {}}};
  EXPECT_NE(plan_cgroup(rdma, kV2).error().message().find("'rdma'"), std::string::npos);
  oci::Resources pages;
  pages.hugepage_limits = {{"2 MB", 1}};
  EXPECT_EQ(plan_cgroup(pages, kV1).error().message(),
            "'2 MB' is not the size of a huge page like 2MB");
  oci::Resources checked;
  checked.memory_limit = 5;
  checked.memory_check_before_update = true;
  EXPECT_EQ(plan_cgroup(checked, kV1)->memory_check, 5u);
  ControllerPlaces classes = kV1;
  classes.v1.insert({"net_cls", "net_prio"});
  network.network_priorities = {{"lo", 1}};
  EXPECT_EQ(lines(*plan_cgroup(network, classes)),
            (std::vector<std::string>{"v1 net_cls.classid=1", "v1 net_prio.ifpriomap=lo 1"}));
}

}  // namespace
}  // namespace wherry::runtime
