#include "engine/spec_builder.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wherry::engine {
namespace {

using Words = std::vector<std::string>;

class SpecBuilder : public testing::Test {
 protected:
  SpecBuilder() {
    record.id = std::string(64, 'a');
    record.name = "web";
    record.path = "sh";
    record.args = {"-c", "true"};
    host.hostname = "laptop";
    host.all_capabilities = capability_names();
  }
  oci::RuntimeSpec build() {
    auto spec =
        build_spec({&record, &host, "/wherry/" + record.id, "/run/wherry/containers/x", 0, 0, ""});
    EXPECT_TRUE(spec) << (spec ? "" : spec.error().message());
    return spec ? *spec : oci::RuntimeSpec();
  }
  static const oci::Mount* mount_at(const oci::RuntimeSpec& spec, std::string_view destination) {
    for (const oci::Mount& mount : spec.mounts)
      if (mount.destination == destination) return &mount;
    return nullptr;
  }
  static bool has_namespace(const oci::RuntimeSpec& spec, std::string_view type) {
    return std::ranges::any_of(spec.namespaces,
                               [&](const auto& entry) { return entry.type == type; });
  }

  ContainerRecord record;
  HostFacts host;
};

TEST_F(SpecBuilder, MountsDockersDefaultsInDockersOrder) {
  oci::RuntimeSpec spec = build();
  Words destinations;
  for (const oci::Mount& mount : spec.mounts) destinations.push_back(mount.destination);
  EXPECT_EQ(destinations,
            (Words{"/proc", "/dev", "/dev/pts", "/sys", "/sys/fs/cgroup", "/dev/mqueue", "/dev/shm",
                   "/etc/resolv.conf", "/etc/hostname", "/etc/hosts"}));
  EXPECT_EQ(mount_at(spec, "/proc")->options, (Words{"nosuid", "noexec", "nodev"}));
  EXPECT_EQ(mount_at(spec, "/dev")->options,
            (Words{"nosuid", "strictatime", "mode=755", "size=65536k"}));
  EXPECT_EQ(mount_at(spec, "/dev/pts")->options,
            (Words{"nosuid", "noexec", "newinstance", "ptmxmode=0666", "mode=0620", "gid=5"}));
  EXPECT_EQ(mount_at(spec, "/sys")->options, (Words{"nosuid", "noexec", "nodev", "ro"}));
  EXPECT_EQ(mount_at(spec, "/sys/fs/cgroup")->options, (Words{"ro", "nosuid", "noexec", "nodev"}));
  EXPECT_EQ(mount_at(spec, "/dev/shm")->options,
            (Words{"nosuid", "noexec", "nodev", "mode=1777", "size=67108864"}));
  EXPECT_EQ(mount_at(spec, "/etc/hosts")->source, "/run/wherry/containers/x/hosts");
  EXPECT_EQ(mount_at(spec, "/etc/hosts")->options, (Words{"rbind", "rprivate", "rw"}));
}

TEST_F(SpecBuilder, GivesDockersFourteenCapabilitiesAndNoInheritableOnes) {
  oci::Capabilities capabilities = build().process.capabilities;
  std::ranges::sort(capabilities.bounding);
  EXPECT_EQ(capabilities.bounding,
            (Words{"CAP_AUDIT_WRITE", "CAP_CHOWN", "CAP_DAC_OVERRIDE", "CAP_FOWNER", "CAP_FSETID",
                   "CAP_KILL", "CAP_MKNOD", "CAP_NET_BIND_SERVICE", "CAP_NET_RAW", "CAP_SETFCAP",
                   "CAP_SETGID", "CAP_SETPCAP", "CAP_SETUID", "CAP_SYS_CHROOT"}));
  EXPECT_EQ(capabilities.effective.size(), 14u);
  EXPECT_EQ(capabilities.permitted.size(), 14u);
  EXPECT_TRUE(capabilities.inheritable.empty());
  EXPECT_TRUE(capabilities.ambient.empty());
}

TEST_F(SpecBuilder, MasksAndProtectsWhatDockerDoes) {
  host.throttled_cpus = {0, 1};
  oci::RuntimeSpec spec = build();
  EXPECT_EQ(spec.masked_paths,
            (Words{"/proc/acpi", "/proc/asound", "/proc/interrupts", "/proc/kcore", "/proc/keys",
                   "/proc/latency_stats", "/proc/sched_debug", "/proc/scsi", "/proc/timer_list",
                   "/proc/timer_stats", "/sys/devices/virtual/powercap", "/sys/firmware",
                   "/sys/devices/system/cpu/cpu0/thermal_throttle",
                   "/sys/devices/system/cpu/cpu1/thermal_throttle"}));
  EXPECT_EQ(spec.readonly_paths,
            (Words{"/proc/bus", "/proc/fs", "/proc/irq", "/proc/sys", "/proc/sysrq-trigger"}));
}

TEST_F(SpecBuilder, DeniesDevicesButTheUsualOnes) {
  auto rules = build().resources.devices;
  EXPECT_FALSE(rules[0].allow);
  EXPECT_EQ(rules[0].type, 'a');
  EXPECT_TRUE(std::ranges::none_of(rules, [](const oci::DeviceRule& rule) {
    return rule.allow && !rule.major && rule.access.find_first_of("rw") != std::string::npos;
  }));
}

TEST_F(SpecBuilder, APrivilegedContainerHasAllButItsNamespaces) {
  record.host_config.privileged = true;
  host.devices = {{"/dev/kvm", 'c', 10, 232, 0660, 0, 36}};
  host.cgroup_v2 = true;
  oci::RuntimeSpec spec = build();
  EXPECT_EQ(spec.process.capabilities.bounding, capability_names());
  EXPECT_TRUE(spec.masked_paths.empty());
  EXPECT_TRUE(spec.readonly_paths.empty());
  EXPECT_EQ(spec.devices.size(), 1u);
  ASSERT_EQ(spec.resources.devices.size(), 1u);
  EXPECT_TRUE(spec.resources.devices[0].allow);
  EXPECT_EQ(mount_at(spec, "/sys")->options.back(), "rw");
  EXPECT_EQ(mount_at(spec, "/sys/fs/cgroup")->options.front(), "rw");
  EXPECT_TRUE(has_namespace(spec, "pid"));
  EXPECT_FALSE(has_namespace(spec, "cgroup"));
}

TEST_F(SpecBuilder, TheCgroupNamespaceIsPrivateOnVersionTwoOnly) {
  EXPECT_FALSE(has_namespace(build(), "cgroup"));
  host.cgroup_v2 = true;
  EXPECT_TRUE(has_namespace(build(), "cgroup"));
}

TEST_F(SpecBuilder, ThePrivateNetworkBringsItsSysctls) {
  oci::RuntimeSpec spec = build();
  EXPECT_TRUE(has_namespace(spec, "network"));
  EXPECT_EQ(spec.sysctl.at("net.ipv4.ip_unprivileged_port_start"), "0");
  EXPECT_EQ(spec.sysctl.at("net.ipv4.ping_group_range"), "0 2147483647");
  record.host_config.network_mode = "none";
  EXPECT_TRUE(has_namespace(build(), "network"));
}

TEST_F(SpecBuilder, TheHostsNetworkBringsTheHostsNameAndNoSysctls) {
  record.host_config.network_mode = "host";
  oci::RuntimeSpec spec = build();
  EXPECT_FALSE(has_namespace(spec, "network"));
  EXPECT_TRUE(spec.sysctl.empty());
  EXPECT_EQ(spec.hostname, "laptop");
}

TEST_F(SpecBuilder, TheHostnameIsTheShortIdUnlessGiven) {
  EXPECT_EQ(build().hostname, std::string(12, 'a'));
  record.config.hostname = "db";
  EXPECT_EQ(build().hostname, "db");
}

TEST_F(SpecBuilder, TheEnvironmentStartsWithDefaultsThatTheRecordMayReplace) {
  record.config.tty = true;
  record.config.env = {"A=1", "PATH=/mine"};
  oci::Process process = build().process;
  EXPECT_EQ(process.env,
            (Words{"PATH=/mine", "HOSTNAME=" + std::string(12, 'a'), "TERM=xterm", "A=1"}));
  EXPECT_TRUE(process.terminal);
  EXPECT_EQ(process.args, (Words{"sh", "-c", "true"}));
  EXPECT_EQ(process.cwd, "/");
}

TEST_F(SpecBuilder, LimitsReachTheKernelsUnits) {
  record.host_config.memory = 512 << 20;
  record.host_config.nano_cpus = 1500000000;
  record.host_config.pids_limit = 100;
  oci::Resources limits = build().resources;
  EXPECT_EQ(limits.memory_limit, 512 << 20);
  EXPECT_EQ(limits.memory_swap, 1 << 30);
  EXPECT_EQ(limits.cpu_quota, 150000);
  EXPECT_EQ(limits.cpu_period, 100000u);
  EXPECT_EQ(limits.pids_limit, 100);
  record.host_config.memory_swap = -1;
  EXPECT_EQ(build().resources.memory_swap, -1);
}

TEST_F(SpecBuilder, NoLimitsByDefault) {
  oci::Resources limits = build().resources;
  EXPECT_FALSE(limits.memory_limit || limits.memory_swap || limits.cpu_quota || limits.pids_limit);
}

TEST_F(SpecBuilder, AReadOnlyRootMakesTheGeneratedFilesReadOnlyToo) {
  record.host_config.readonly_rootfs = true;
  oci::RuntimeSpec spec = build();
  EXPECT_TRUE(spec.root_readonly);
  EXPECT_EQ(mount_at(spec, "/etc/resolv.conf")->options.back(), "ro");
}

TEST_F(SpecBuilder, AUsersMountReplacesADefaultOne) {
  record.mounts = {{.type = "bind", .source = "/mem", .destination = "/dev/shm"},
                   {.type = "bind", .source = "/my-hosts", .destination = "/etc/hosts"}};
  oci::RuntimeSpec spec = build();
  EXPECT_EQ(std::ranges::count(spec.mounts, std::string("/dev/shm"), &oci::Mount::destination), 1);
  EXPECT_EQ(mount_at(spec, "/dev/shm")->source, "/mem");
  EXPECT_EQ(std::ranges::count(spec.mounts, std::string("/etc/hosts"), &oci::Mount::destination),
            1);
  EXPECT_EQ(mount_at(spec, "/etc/hosts")->source, "/my-hosts");
}

Words capabilities(Words add, Words drop) {
  HostConfig config;
  config.cap_add = std::move(add);
  config.cap_drop = std::move(drop);
  auto names = container_capabilities(config, capability_names());
  EXPECT_TRUE(names);
  return names ? *names : Words{"error"};
}

TEST(Capabilities, AreAddedAndDroppedByAnySpelling) {
  EXPECT_EQ(capabilities({}, {}).size(), 14u);
  EXPECT_EQ(capabilities({"net_admin"}, {}).back(), "CAP_NET_ADMIN");
  EXPECT_EQ(capabilities({"CAP_CHOWN"}, {}).size(), 14u);
  Words dropped = capabilities({}, {"Cap_Chown"});
  EXPECT_EQ(dropped.size(), 13u);
  EXPECT_EQ(std::ranges::find(dropped, "CAP_CHOWN"), dropped.end());
}

TEST(Capabilities, AllMeansEveryOneThatWeHave) {
  EXPECT_EQ(capabilities({"ALL"}, {}), capability_names());
  EXPECT_EQ(capabilities({"all"}, {"SYS_ADMIN"}).size(), capability_names().size() - 1);
  EXPECT_EQ(capabilities({"CHOWN"}, {"ALL"}), (Words{"CAP_CHOWN"}));
  EXPECT_TRUE(capabilities({}, {"ALL"}).empty());
}

TEST(Capabilities, UnknownOnesAreNamed) {
  HostConfig config;
  config.cap_add = {"FLY"};
  auto names = container_capabilities(config, {});
  ASSERT_FALSE(names);
  EXPECT_EQ(names.error().message(), "invalid CapAdd: unknown capability: \"FLY\"");
}

TEST(Limits, AreCheckedInDockersWords) {
  auto message = [](auto change) {
    HostConfig config;
    change(config);
    auto checked = check_limits(config, 2);
    return checked ? std::string("ok") : checked.error().message();
  };
  EXPECT_EQ(message([](HostConfig& c) { c.memory = 6 << 20; }), "ok");
  EXPECT_EQ(message([](HostConfig& c) { c.memory = 1 << 20; }),
            "Minimum memory limit allowed is 6MB");
  EXPECT_EQ(message([](HostConfig& c) { c.memory = -1; }), "Minimum memory limit allowed is 6MB");
  EXPECT_EQ(message([](HostConfig& c) { c.nano_cpus = 2000000000; }), "ok");
  EXPECT_NE(message([](HostConfig& c) { c.nano_cpus = 2000000001; }).find("2.00"),
            std::string::npos);
  EXPECT_NE(message([](HostConfig& c) { c.nano_cpus = -1; }), "ok");
  EXPECT_NE(message([](HostConfig& c) { c.nano_cpus = 9999999; }), "ok");
  EXPECT_NE(message([](HostConfig& c) { c.memory_swap = 1 << 30; }), "ok");
  EXPECT_NE(message([](HostConfig& c) { c.memory = 1 << 30, c.memory_swap = 1 << 29; }), "ok");
  EXPECT_EQ(message([](HostConfig& c) { c.memory = 1 << 30, c.memory_swap = -1; }), "ok");
  EXPECT_NE(message([](HostConfig& c) { c.pids_limit = -2; }), "ok");
}

}  // namespace
}  // namespace wherry::engine
