// Properties of configurations that were generated: what is written is read back, and what is
// planned keeps the rules whatever the configuration says.
#include <gtest/gtest.h>
#include <sched.h>

#include <algorithm>
#include <random>

#include "runtime/create_plan.h"
#include "runtime/hooks.h"

namespace wherry::runtime {
namespace {

class Generator {
 public:
  explicit Generator(uint32_t seed) : random_(seed) {}

  oci::RuntimeSpec spec() {
    oci::RuntimeSpec spec;
    spec.root_path = word();
    spec.hostname = maybe() ? word() : "";
    for (const char* type : {"mount", "pid", "network", "ipc", "uts", "user", "cgroup", "time"})
      if (*type == 'm' ? number(10) != 0 : maybe())
        spec.namespaces.push_back({type, number(5) == 0 ? "/proc/1/ns/" + word() : ""});
    for (int i = number(4); i > 0; --i) spec.mounts.push_back(mount());
    const bool mapped =
        std::ranges::find(spec.namespaces, "user", &oci::Namespace::type) != spec.namespaces.end();
    for (int i = mapped ? 1 + number(2) : number(8) == 0; i > 0; --i) {
      spec.uid_mappings.push_back(mapping());
      spec.gid_mappings.push_back(mapping());
    }
    for (int i = number(3); i > 0; --i)
      spec.devices.push_back({path(), "cbup"[number(4)], number(4100) - 2, number(300)});
    for (int i = number(5) - 3; i > 0; --i) spec.sysctl[pick(kSysctls)] = word();
    for (int i = number(3); i > 0; --i) spec.masked_paths.push_back(path());
    spec.process = process();
    if (number(4) == 0) spec.hooks.poststop.push_back({.path = "/bin/" + word()});
    if (number(4) == 0) spec.time_offsets["boottime"] = {number(100), 5};
    return spec;
  }

 private:
  static constexpr const char* kSysctls[] = {"net.ipv4.ip_forward", "kernel.shmmax",
                                             "kernel.core_pattern", "net/../kernel/x",
                                             "fs.mqueue.msg_max",   "vm.swappiness"};
  static constexpr const char* kTypes[] = {"bind",   "tmpfs",  "proc", "sysfs",
                                           "cgroup", "mqueue", ""};

  int number(int below) { return static_cast<int>(random_() % static_cast<uint32_t>(below)); }
  bool maybe() { return number(2) == 0; }
  template <size_t N>
  std::string pick(const char* const (&list)[N]) {
    return list[number(N)];
  }
  std::string word() {
    std::string text;
    for (int i = 1 + number(8); i > 0; --i) text += static_cast<char>('a' + number(26));
    return text;
  }
  std::string path() {
    std::string text = number(12) == 0 ? "" : "/";
    for (int i = number(4); i > 0; --i)
      text += (number(6) == 0 ? ".." : number(6) == 0 ? "proc" : word()) + "/";
    return text + word();
  }
  oci::IdMapping mapping() {
    return {static_cast<uint32_t>(number(50) * 100), static_cast<uint32_t>(number(50) * 100),
            static_cast<uint32_t>(number(50))};
  }
  oci::Mount mount() {
    static const std::vector<std::string> known = known_mount_options();
    oci::Mount mount{path(), pick(kTypes), number(5) != 0 ? path() : word(), {}};
    for (int i = number(4); i > 0; --i)
      mount.options.push_back(
          number(12) == 0 ? word()
                          : known[static_cast<size_t>(number(static_cast<int>(known.size())))]);
    if (number(8) == 0) mount.uid_mappings.push_back(mapping());
    if (number(8) == 0) mount.gid_mappings.push_back(mapping());
    return mount;
  }
  oci::Process process() {
    oci::Process process;
    for (int i = number(4); i > 0; --i) process.args.push_back(word());
    for (int i = number(3); i > 0; --i) process.env.push_back(word() + "=" + word());
    process.cwd = "/" + word();
    process.capabilities.bounding = {"CAP_CHOWN", number(4) == 0 ? "CAP_" + word() : "CAP_KILL"};
    const uint64_t hard = static_cast<uint64_t>(number(1000));
    if (maybe()) process.rlimits.push_back({"RLIMIT_NOFILE", hard, hard / 2});
    if (number(4) == 0) process.scheduler = oci::Scheduler{.policy = "SCHED_BATCH", .nice = 3};
    return process;
  }

  std::mt19937 random_;
};

void expect_sound(const oci::RuntimeSpec& spec, const CreatePlan& plan) {
  EXPECT_TRUE(plan.namespaces.is_fresh(CLONE_NEWNS));
  for (const JoinedNamespace& joined : plan.namespaces.joined)
    EXPECT_FALSE(plan.namespaces.is_fresh(static_cast<uint64_t>(joined.type)));
  ASSERT_EQ(plan.mounts.size(), spec.mounts.size());
  for (const MountStep& step : plan.mounts) {
    EXPECT_EQ(clean_path(step.destination), step.destination);
    EXPECT_NE(step.destination, "/");
    const bool inside = step.destination.starts_with("/proc/");
    EXPECT_TRUE(!inside || step.kind == MountStep::Kind::kRemount ||
                may_cover_in_proc(step.destination))
        << step.destination;
    EXPECT_TRUE(!step.map_ids || !(step.uid_mappings.empty() || step.gid_mappings.empty()));
  }
  for (const auto& [path, value] : plan.sysctls) {
    EXPECT_EQ(path.find(".."), std::string::npos) << path;
    EXPECT_TRUE(path.starts_with("net/") || path.starts_with("kernel/shm") ||
                path.starts_with("fs/mqueue/"))
        << path;
  }
  for (const std::string& path : plan.masked_paths) EXPECT_EQ(clean_path(path), path);
  for (const DeviceNode& node : plan.devices) EXPECT_EQ(clean_path(node.path), node.path);
  EXPECT_EQ(plan.process.capabilities.bounding >> 41, 0u);
  EXPECT_EQ(plan.process.limits_by_parent, plan.namespaces.has(CLONE_NEWUSER));
}

TEST(SpecProperties, WhatIsGeneratedIsReadBackAndPlannedSoundlyOrRefusedWithWords) {
  int planned = 0;
  int refused = 0;
  for (uint32_t seed = 1; seed <= 5000; ++seed) {
    SCOPED_TRACE(seed);
    const oci::RuntimeSpec spec = Generator(seed).spec();
    const std::string text = to_json(spec);
    auto parsed = oci::parse_runtime_spec(text);
    if (parsed)
      EXPECT_EQ(to_json(*parsed), text);
    else
      EXPECT_FALSE(parsed.error().message().empty());
    HookState state;
    CreateOptions options;
    options.spec = &spec;
    options.bundle.hooks = &state;
    auto plan = plan_create(options);
    if (plan)
      expect_sound(spec, *plan);
    else
      EXPECT_GT(plan.error().message().size(), 10u);
    (plan ? planned : refused)++;
  }
  EXPECT_GT(planned, 50) << "the generator must reach the plans";
  EXPECT_GT(refused, 50);
}

}  // namespace
}  // namespace wherry::runtime
