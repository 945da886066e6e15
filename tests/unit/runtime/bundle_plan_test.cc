// The pure parts of bundles: places of cgroups, traits, mappings, hooks' state.
#include <gtest/gtest.h>

#include "runtime/cgroup_place.h"
#include "runtime/hooks.h"
#include "runtime/traits.h"
#include "runtime/user_namespace.h"

namespace wherry::runtime {
namespace {

std::string path_of(const std::string& cgroups_path, CgroupDriver driver) {
  auto place = place_of_cgroup(cgroups_path, "box", driver);
  return place ? place->path : "error: " + place.error().message();
}

TEST(CgroupPlace, FollowsTheDriver) {
  EXPECT_EQ(path_of("", CgroupDriver::kCgroupfs), "/wherry-oci/box");
  EXPECT_EQ(path_of("/docker/box", CgroupDriver::kCgroupfs), "/docker/box");
  EXPECT_EQ(path_of("user/box", CgroupDriver::kCgroupfs), "/user/box");
  EXPECT_EQ(path_of("../../box", CgroupDriver::kCgroupfs), "/box");
  EXPECT_EQ(path_of("/a", CgroupDriver::kDisabled), "");
  EXPECT_EQ(path_of("/..", CgroupDriver::kCgroupfs),
            "error: '/..' cannot be a cgroup path: it is the root");
  EXPECT_EQ(path_of("", CgroupDriver::kSystemd), "/system.slice/wherry-oci-box.scope");
  EXPECT_EQ(path_of("user-1000.slice:libpod:box", CgroupDriver::kSystemd),
            "/user.slice/user-1000.slice/libpod-box.scope");
  EXPECT_EQ(path_of("-.slice:docker:x", CgroupDriver::kSystemd), "/docker-x.scope");
  EXPECT_EQ(path_of("a.slice::x", CgroupDriver::kSystemd), "/a.slice/x.scope");
  EXPECT_EQ(path_of("a.slice::x.slice", CgroupDriver::kSystemd),
            "error: 'a.slice::x.slice' cannot be a cgroup path: a container is a scope and not a "
            "slice");
  EXPECT_EQ(place_of_cgroup("user-1.slice:p:n", "box", CgroupDriver::kSystemd)->slice(),
            "user-1.slice");
  EXPECT_EQ(place_of_cgroup("-.slice:p:n", "box", CgroupDriver::kSystemd)->slice(), "-.slice");
  EXPECT_EQ(path_of("/docker/box", CgroupDriver::kSystemd),
            "error: '/docker/box' cannot be a cgroup path: systemd's form is slice:prefix:name");
  EXPECT_EQ(path_of("a--b.slice:p:n", CgroupDriver::kSystemd),
            "error: 'a--b.slice' is not the name of a slice");
}

TEST(Traits, ReadsListsOfProcessors) {
  EXPECT_EQ(*parse_bit_list("0-1,3"), std::vector<uint64_t>{0b1011});
  EXPECT_EQ(*parse_bit_list("64"), (std::vector<uint64_t>{0, 1}));
  for (const char* bad : {"", "x", "3-1", "1-", "-1", "0-8192", "1,,2"})
    EXPECT_FALSE(parse_bit_list(bad)) << bad;
}

TEST(Traits, TurnsWordsIntoTheKernelsNumbers) {
  oci::Process process;
  process.scheduler = oci::Scheduler{.policy = "SCHED_DEADLINE",
                                     .flags = {"SCHED_FLAG_RESET_ON_FORK", "SCHED_FLAG_RECLAIM"},
                                     .runtime = 1,
                                     .deadline = 2,
                                     .period = 3};
  process.io_priority = oci::IoPriority{.io_class = "IOPRIO_CLASS_IDLE", .priority = 0};
  auto plan = plan_traits(process);
  ASSERT_TRUE(plan) << plan.error().message();
  EXPECT_EQ(plan->scheduler->policy, 6u);
  EXPECT_EQ(plan->scheduler->flags, 3u);
  EXPECT_EQ(plan->scheduler->period, 3u);
  EXPECT_EQ(plan->io_priority, 3 << 13);
  auto refusal = [](auto change) {
    oci::Process bad;
    change(bad);
    auto planned = plan_traits(bad);
    return planned ? std::string() : planned.error().message();
  };
  EXPECT_EQ(refusal([](auto& p) { p.scheduler = oci::Scheduler{.policy = "SCHED_LAZY"}; }),
            "unknown scheduling policy 'SCHED_LAZY'");
  EXPECT_EQ(
      refusal([](auto& p) { p.scheduler = oci::Scheduler{.policy = "SCHED_RR", .flags = {"X"}}; }),
      "unknown scheduling flag 'X'");
  EXPECT_EQ(refusal([](auto& p) { p.io_priority = oci::IoPriority{"IOPRIO_CLASS_BE", 8}; }),
            "the I/O priority 8 is not in 0 to 7");
  EXPECT_EQ(refusal([](auto& p) { p.exec_cpu_affinity = oci::CpuAffinity{"x", ""}; }),
            "process.execCPUAffinity.initial: 'x' is not a list of numbers like 0-3,7");
  EXPECT_FALSE(plan_personality(oci::Personality{"LINUX", {"X"}}));
  EXPECT_EQ(**plan_personality(oci::Personality{"LINUX32", {}}), 8ul);
  EXPECT_EQ(
      (*plan_memory_policy(oci::MemoryPolicy{"MPOL_BIND", "0", {"MPOL_F_STATIC_NODES"}}))->mode,
      2 | 1 << 15);
  EXPECT_FALSE(plan_memory_policy(oci::MemoryPolicy{"MPOL_X", "", {}}));
}

TEST(UserNamespace, WritesTheKernelsMaps) {
  EXPECT_EQ(map_text({{0, 100000, 65536}, {70000, 5, 1}}), "0 100000 65536\n70000 5 1\n");
  EXPECT_TRUE(check_mappings({{0, 5, 1}, {1, 6, 1}}, "uid"));
  EXPECT_FALSE(check_mappings({{0, 5, 2}, {5, 6, 1}}, "uid")) << "the host's ids overlap";
  EXPECT_FALSE(check_mappings({{0, 4294967295u, 1}}, "uid"));
  EXPECT_EQ(*offsets_text({{"boottime", {-1, 2}}, {"monotonic", {3, 0}}}),
            "boottime -1 2\nmonotonic 3 0\n");
  EXPECT_FALSE(offsets_text({{"monotonic", {0, 1000000000}}}));
}

TEST(Hooks, AreToldTheStateOfTheSpecification) {
  std::map<std::string, std::string> annotations = {{"a", "b"}};
  HookState state{.oci_version = "1.2.0",
                  .id = "box",
                  .status = "created",
                  .pid = 7,
                  .bundle = "/b",
                  .annotations = &annotations};
  EXPECT_EQ(to_json(state), R"({"ociVersion":"1.2.0","id":"box","status":"created","pid":7,)"
                            R"("bundle":"/b","annotations":{"a":"b"}})");
  state.pid = 0;
  annotations.clear();
  EXPECT_EQ(to_json(state),
            R"({"ociVersion":"1.2.0","id":"box","status":"created","bundle":"/b"})");
}

}  // namespace
}  // namespace wherry::runtime
