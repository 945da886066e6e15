#include "runtime/mount_plan.h"

#include <gtest/gtest.h>
#include <sys/mount.h>

namespace wherry::runtime {
namespace {

MountStep planned(const oci::Mount& mount) {
  auto step = plan_mount(mount);
  EXPECT_TRUE(step) << step.error().message();
  return step ? *step : MountStep();
}

std::string refusal(const oci::Mount& mount) {
  auto step = plan_mount(mount);
  EXPECT_FALSE(step);
  return step ? "" : step.error().message();
}

TEST(MountPlan, SplitsDockersTmpfsIntoAttributesAndData) {
  MountStep step =
      planned({"/dev", "tmpfs", "tmpfs", {"nosuid", "strictatime", "mode=755", "size=65536k"}});
  EXPECT_EQ(step.kind, MountStep::Kind::kFilesystem);
  EXPECT_EQ(step.attributes.set, uint64_t{MOUNT_ATTR_NOSUID | MOUNT_ATTR_STRICTATIME});
  ASSERT_EQ(step.data.size(), 2u);
  EXPECT_EQ(step.data[0].first, "mode");
  EXPECT_EQ(step.data[0].second, "755");
  EXPECT_EQ(step.data[1].second, "65536k");
  EXPECT_EQ(step.attributes.propagation, 0u);
}

TEST(MountPlan, TakesDataWithoutAValueAsAFlag) {
  MountStep step = planned({"/dev/pts", "devpts", "devpts", {"newinstance", "gid=5"}});
  ASSERT_EQ(step.data.size(), 2u);
  EXPECT_FALSE(step.data[0].second.has_value());
}

TEST(MountPlan, MakesABindPrivateUnlessToldOtherwise) {
  MountStep step = planned({"/data", "", "/srv", {"rbind", "ro"}});
  EXPECT_EQ(step.kind, MountStep::Kind::kBind);
  EXPECT_TRUE(step.recursive);
  EXPECT_TRUE(step.read_only());
  EXPECT_EQ(step.recursive_attributes.propagation, uint64_t{MS_PRIVATE});
  MountStep shared = planned({"/data", "bind", "/srv", {"bind", "rshared"}});
  EXPECT_FALSE(shared.recursive);
  EXPECT_EQ(shared.recursive_attributes.propagation, uint64_t{MS_SHARED});
  MountStep slave = planned({"/data", "bind", "/srv", {"rshared", "slave"}});
  EXPECT_EQ(slave.recursive_attributes.propagation, 0u);
  EXPECT_EQ(slave.attributes.propagation, uint64_t{MS_SLAVE});
}

TEST(MountPlan, UnderstandsEveryAttributeWord) {
  struct Case {
    const char* word;
    uint64_t set, clear;
  };
  for (const Case& c : {Case{"ro", MOUNT_ATTR_RDONLY, 0},
                        {"rw", 0, MOUNT_ATTR_RDONLY},
                        {"nosuid", MOUNT_ATTR_NOSUID, 0},
                        {"suid", 0, MOUNT_ATTR_NOSUID},
                        {"nodev", MOUNT_ATTR_NODEV, 0},
                        {"dev", 0, MOUNT_ATTR_NODEV},
                        {"noexec", MOUNT_ATTR_NOEXEC, 0},
                        {"exec", 0, MOUNT_ATTR_NOEXEC},
                        {"noatime", MOUNT_ATTR_NOATIME, MOUNT_ATTR__ATIME},
                        {"relatime", 0, MOUNT_ATTR__ATIME},
                        {"strictatime", MOUNT_ATTR_STRICTATIME, MOUNT_ATTR__ATIME},
                        {"nodiratime", MOUNT_ATTR_NODIRATIME, 0}}) {
    MountStep step = planned({"/d", "bind", "/s", {c.word}});
    EXPECT_EQ(step.attributes.set, c.set) << c.word;
    EXPECT_EQ(step.attributes.clear, c.clear) << c.word;
    MountStep recursive = planned({"/d", "bind", "/s", {std::string("r") + c.word}});
    EXPECT_EQ(recursive.recursive_attributes.set, c.set) << c.word;
    EXPECT_EQ(recursive.attributes.set, 0u) << c.word;
  }
}

TEST(MountPlan, LetsTheLastWordWin) {
  MountStep step = planned({"/d", "bind", "/s", {"ro", "rw", "noatime", "strictatime"}});
  EXPECT_FALSE(step.read_only());
  EXPECT_EQ(step.attributes.set, uint64_t{MOUNT_ATTR_STRICTATIME});
  EXPECT_EQ(step.attributes.clear & MOUNT_ATTR_RDONLY, uint64_t{MOUNT_ATTR_RDONLY});
}

TEST(MountPlan, RefusesUnknownOptionsByName) {
  EXPECT_EQ(refusal({"/d", "bind", "/s", {"ro", "foo"}}),
            "cannot mount '/d': unknown option 'foo'");
  EXPECT_EQ(refusal({"/d", "bind", "/s", {"sync"}}), "cannot mount '/d': unknown option 'sync'");
  EXPECT_EQ(refusal({"/d", "bind", "/s", {"mode=755"}}),
            "cannot mount '/d': unknown option 'mode=755'");
  EXPECT_EQ(refusal({"/d", "sysfs", "sysfs", {""}}), "cannot mount '/d': unknown option ''");
  EXPECT_EQ(refusal({"/d", "", "", {"remount", "size=1"}}),
            "cannot mount '/d': unknown option 'size=1'");
}

TEST(MountPlan, LeavesForeignFileSystemsDataToTheKernel) {
  MountStep step = planned({"/d", "ext4", "/dev/sdz", {"commit=30", "noload"}});
  EXPECT_EQ(step.data.size(), 2u);
}

TEST(MountPlan, CleansDestinationsAndRefusesRelativeOnes) {
  EXPECT_EQ(planned({"/a/./b//../c/", "tmpfs", "", {}}).destination, "/a/c");
  EXPECT_EQ(planned({"/../../x", "tmpfs", "", {}}).destination, "/x");
  EXPECT_EQ(refusal({"data", "tmpfs", "", {}}),
            "cannot mount 'data': the destination must be an absolute path");
  EXPECT_EQ(refusal({"/a/..", "tmpfs", "", {}}),
            "cannot mount '/': the root cannot be a mount's destination");
  EXPECT_EQ(refusal({"/a", "bind", "relative", {}}),
            "cannot mount '/a': the source 'relative' must be an absolute path");
  EXPECT_EQ(refusal({"/a", "", "", {}}),
            "cannot mount '/a': it has neither a type nor the option 'bind'");
}

TEST(MountPlan, CoversNothingInProcThatTellsTheKernelWhatToDo) {
  EXPECT_EQ(planned({"/proc", "proc", "proc", {}}).type, "proc");
  EXPECT_EQ(planned({"/proc/meminfo", "bind", "/lxcfs/meminfo", {}}).destination, "/proc/meminfo");
  EXPECT_EQ(planned({"/proc", "bind", "/proc", {"rbind"}}).destination, "/proc");
  for (const char* destination :
       {"/proc/self", "/proc/sys", "/proc/self/attr/../exe", "/x/../proc/1"})
    EXPECT_NE(refusal({destination, "bind", "/s", {}}).find("inside '/proc'"), std::string::npos)
        << destination;
  EXPECT_NE(refusal({"/proc", "tmpfs", "", {}}).find("inside '/proc'"), std::string::npos);
}

TEST(MountPlan, MapsIdsOfBindsAndFillsTmpfs) {
  EXPECT_TRUE(planned({"/d", "bind", "/s", {"idmap"}}).map_ids);
  EXPECT_FALSE(planned({"/d", "bind", "/s", {"idmap"}}).map_ids_below);
  EXPECT_TRUE(planned({"/d", "bind", "/s", {"ridmap"}}).map_ids_below);
  oci::Mount implied{"/d", "bind", "/s", {}};
  implied.uid_mappings = {{0, 1, 1}};
  EXPECT_EQ(refusal(implied), "cannot mount '/d': uidMappings and gidMappings belong together");
  implied.gid_mappings = {{0, 1, 1}};
  EXPECT_TRUE(planned(implied).map_ids);
  EXPECT_EQ(refusal({"/d", "tmpfs", "", {"idmap"}}),
            "cannot mount '/d': 'idmap' needs a bind mount");
  EXPECT_TRUE(planned({"/d", "tmpfs", "", {"tmpcopyup"}}).tmp_copy_up);
  EXPECT_EQ(refusal({"/d", "bind", "/s", {"tmpcopyup"}}),
            "cannot mount '/d': 'tmpcopyup' needs a tmpfs");
}

TEST(MountPlan, PassesTheSuperblocksWordsToTheFileSystem) {
  MountStep step = planned({"/d", "ext4", "/dev/sdz", {"sync", "async", "nolazytime", "dirsync"}});
  ASSERT_EQ(step.data.size(), 2u);
  EXPECT_EQ(step.data[0].first, "sync");
  EXPECT_EQ(step.data[1].first, "dirsync");
  EXPECT_EQ(planned({"/d", "bind", "/s", {"nosymfollow"}}).attributes.set,
            uint64_t{MOUNT_ATTR_NOSYMFOLLOW});
  EXPECT_EQ(planned({"/d", "bind", "/s", {"rnosymfollow"}}).recursive_attributes.set,
            uint64_t{MOUNT_ATTR_NOSYMFOLLOW});
}

TEST(MountPlan, CopiesUpIntoBindsOnly) {
  EXPECT_TRUE(planned({"/d", "bind", "/s", {"x-wherry.copyup"}}).copy_up);
  EXPECT_EQ(refusal({"/d", "tmpfs", "", {"x-wherry.copyup"}}),
            "cannot mount '/d': 'x-wherry.copyup' needs a bind mount");
}

TEST(MountPlan, KnowsTheRootsPropagation) {
  EXPECT_EQ(*plan_root_propagation(""), uint64_t{MS_PRIVATE});
  EXPECT_EQ(*plan_root_propagation("rslave"), uint64_t{MS_SLAVE});
  EXPECT_FALSE(plan_root_propagation("sideways"));
}

}  // namespace
}  // namespace wherry::runtime
