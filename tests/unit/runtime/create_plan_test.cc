#include "runtime/create_plan.h"

#include <gtest/gtest.h>
#include <sched.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

namespace wherry::runtime {
namespace {

oci::RuntimeSpec small_spec() {
  oci::RuntimeSpec spec;
  for (const char* type : {"mount", "pid", "network", "ipc", "uts"})
    spec.namespaces.push_back({type, ""});
  spec.process.args = {"/bin/true"};
  return spec;
}

std::string refusal(const oci::RuntimeSpec& spec) {
  CreateOptions options;
  options.spec = &spec;
  auto plan = plan_create(options);
  EXPECT_FALSE(plan);
  return plan ? "" : plan.error().message();
}

TEST(CreatePlan, TurnsNamespacesIntoFlagsAndPaths) {
  auto plan = plan_namespaces({{"mount", ""}, {"network", "/proc/1/ns/net"}, {"cgroup", ""}});
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->fresh, uint64_t{CLONE_NEWNS | CLONE_NEWCGROUP});
  ASSERT_EQ(plan->joined.size(), 1u);
  EXPECT_EQ(plan->joined[0].type, CLONE_NEWNET);
  EXPECT_TRUE(plan->has(CLONE_NEWNET));
  EXPECT_FALSE(plan->has(CLONE_NEWIPC));
}

TEST(CreatePlan, LeavesAnUnknownCapabilityOutWithAWarning) {
  oci::Process process;
  process.args = {"x"};
  process.capabilities.bounding = {"CAP_FLY", "CAP_CHOWN"};
  process.capabilities.ambient = {"CAP_FLY"};
  auto plan = plan_process(process, "");
  ASSERT_TRUE(plan);
  EXPECT_EQ(plan->capabilities.bounding, 1u);
  EXPECT_EQ(plan->warnings,
            std::vector<std::string>{"ignoring unknown or unavailable capability 'CAP_FLY'"});
}

TEST(CreatePlan, RefusesWhatItCannotHonourByName) {
  oci::RuntimeSpec user = small_spec();
  user.namespaces.push_back({"user", ""});
  EXPECT_EQ(refusal(user), "a new user namespace needs linux.uidMappings and linux.gidMappings");
  user.uid_mappings = {{0, 1000, 10}, {5, 5000, 1}};
  user.gid_mappings = {{0, 1000, 10}};
  EXPECT_EQ(refusal(user), "the uid mapping 5:5000:1 overlaps another");
  user.uid_mappings = {{0, 1000, 0}};
  EXPECT_EQ(refusal(user), "the uid mapping 0:1000:0 is empty or too large");
  oci::RuntimeSpec mapped = small_spec();
  mapped.uid_mappings = {{0, 1000, 1}};
  EXPECT_EQ(refusal(mapped), "linux.uidMappings and gidMappings need a user namespace");
  oci::RuntimeSpec clocks = small_spec();
  clocks.time_offsets = {{"boottime", {1, 0}}};
  EXPECT_EQ(refusal(clocks), "linux.timeOffsets need a new time namespace");
  clocks.namespaces.push_back({"time", ""});
  clocks.time_offsets = {{"wall", {1, 0}}};
  EXPECT_EQ(refusal(clocks), "'wall' is not a clock of a time namespace");
  oci::RuntimeSpec hooks = small_spec();
  hooks.hooks.poststart = {{.path = "/bin/true"}};
  EXPECT_EQ(refusal(hooks), "hooks are not supported here");
  oci::RuntimeSpec idmap = small_spec();
  idmap.mounts = {{"/d", "bind", "/s", {"bind", "ridmap"}}};
  EXPECT_EQ(refusal(idmap),
            "cannot mount '/d': 'idmap' needs mappings, the mount's own or the container's");
  oci::RuntimeSpec device = small_spec();
  device.net_devices = {{"eth7", {}}, {"eth8", {"eth7"}}};
  EXPECT_EQ(refusal(device), "two network devices would be called 'eth7'");
  device.net_devices = {{"eth7", {"a/b"}}};
  EXPECT_EQ(refusal(device), "'a/b' is not the name of a network device");
  device.namespaces.erase(device.namespaces.begin() + 2);
  EXPECT_EQ(refusal(device), "linux.netDevices need a network namespace of the container's own");
  oci::RuntimeSpec twice = small_spec();
  twice.namespaces.push_back({"ipc", "/x"});
  EXPECT_EQ(refusal(twice), "the namespace 'ipc' is given twice");
  oci::RuntimeSpec apparmor = small_spec();
  apparmor.process.apparmor_profile = "p";
  EXPECT_EQ(refusal(apparmor), "cannot apply the AppArmor profile 'p': this host has no AppArmor");
  oci::RuntimeSpec nothing = small_spec();
  nothing.process.args.clear();
  EXPECT_EQ(refusal(nothing), "no command specified");
  oci::RuntimeSpec environment = small_spec();
  environment.process.env = {"NOVALUE"};
  EXPECT_EQ(refusal(environment), "invalid environment variable 'NOVALUE': expected NAME=value");
  oci::RuntimeSpec relative = small_spec();
  relative.process.cwd = "here";
  EXPECT_EQ(refusal(relative), "the working directory 'here' must be an absolute path");
  oci::RuntimeSpec limit = small_spec();
  limit.process.rlimits = {{"RLIMIT_FUN", 1, 1}};
  EXPECT_EQ(refusal(limit), "unknown limit 'RLIMIT_FUN'");
  oci::RuntimeSpec inverted = small_spec();
  inverted.process.rlimits = {{"RLIMIT_NOFILE", 1, 2}};
  EXPECT_EQ(refusal(inverted), "the soft limit of 'RLIMIT_NOFILE' (2) is above its hard limit (1)");
  oci::RuntimeSpec host_uts = small_spec();
  host_uts.namespaces.pop_back();
  host_uts.hostname = "x";
  EXPECT_EQ(refusal(host_uts),
            "a host name cannot be set without a UTS namespace of the container's own");
}

TEST(CreatePlan, RefusesAFilterThatIsNotAListOfInstructions) {
  oci::Process process;
  process.args = {"x"};
  EXPECT_FALSE(plan_process(process, "short"));
  EXPECT_TRUE(plan_process(process, std::string(16, '\0')));
  EXPECT_FALSE(plan_process(process, std::string(8 * 4097, '\0')));
}

TEST(CreatePlan, GivesEachVariableOnceWithItsLastValue) {
  EXPECT_EQ(unique_environment({"PATH=/bin", "A=1", "AB=x", "PATH=/sbin", "A=", "A=2=3"}),
            (std::vector<std::string>{"PATH=/sbin", "A=2=3", "AB=x"}));
  EXPECT_TRUE(unique_environment({}).empty());
}

TEST(CreatePlan, AllowsOnlySysctlsOfTheContainersNamespaces) {
  NamespacePlan own;
  own.fresh = CLONE_NEWNET | CLONE_NEWIPC;
  EXPECT_EQ(*plan_sysctl("net.ipv4.ip_forward", own), "net/ipv4/ip_forward");
  EXPECT_EQ(*plan_sysctl("net/ipv4/conf/eth0.1/rp_filter", own), "net/ipv4/conf/eth0.1/rp_filter");
  EXPECT_EQ(*plan_sysctl("net.ipv4.conf.eth0/1.rp_filter", own), "net/ipv4/conf/eth0.1/rp_filter");
  EXPECT_EQ(*plan_sysctl("kernel.shm_rmid_forced", own), "kernel/shm_rmid_forced");
  EXPECT_EQ(*plan_sysctl("fs.mqueue.msg_max", own), "fs/mqueue/msg_max");
  for (const char* key :
       {"kernel.core_pattern", "vm.swappiness", "net", "", ".", "net..x", "net/../kernel/panic",
        "net.ipv4.//../x", "kernel.shm_rmid_forced+kernel.core_pattern", "kernel.sem.x",
        "fs.mqueue"})
    EXPECT_FALSE(plan_sysctl(key, own)) << key;
  EXPECT_FALSE(plan_sysctl("net.ipv4.ip_forward", {}));
  EXPECT_FALSE(plan_sysctl("kernel.sem", {}));
}

TEST(CreatePlan, AddsDevicesToTheDefaultOnes) {
  oci::Device fuse{"/dev/fuse", 'c', 10, 229, 0600, 5, std::nullopt};
  oci::Device null{"/dev/../dev/null", 'c', 1, 3, 0640};
  auto nodes = plan_devices({fuse, null});
  ASSERT_TRUE(nodes);
  ASSERT_EQ(nodes->size(), 7u);
  EXPECT_EQ((*nodes)[0].permissions, 0640u);
  EXPECT_EQ(nodes->back().path, "/dev/fuse");
  EXPECT_EQ(nodes->back().number, makedev(10, 229));
  EXPECT_EQ(nodes->back().uid, 5u);
  EXPECT_FALSE(plan_devices({fuse, fuse}));
  EXPECT_FALSE(plan_devices({{"relative", 'c', 1, 3}}));
  EXPECT_FALSE(plan_devices({{"/dev/x", 'z', 1, 3}}));
  EXPECT_FALSE(plan_devices({{"/dev/x", 'c', -1, 3}}));
  EXPECT_FALSE(plan_devices({{"/dev/x", 'c', 1 << 20, 3}}));
}

}  // namespace
}  // namespace wherry::runtime
