// Mounts of a container, and root file systems that mean harm.
#include "container_fixture.h"

namespace wherry::runtime {
namespace {

using ContainerMounts = ContainerTest;

TEST_F(ContainerMounts, LookAsDockersDo) {
  ASSERT_RAN(ran, run({"read", "/proc/self/mountinfo"}));
  for (const char* part :
       {" / / rw,relatime - overlay overlay rw",
        " /proc rw,nosuid,nodev,noexec,relatime - proc proc",
        " /dev rw,nosuid - tmpfs tmpfs rw,size=65536k,mode=755",
        " /dev/pts rw,nosuid,noexec,relatime - devpts devpts rw,gid=5,mode=620,ptmxmode=666",
        " /sys ro,nosuid,nodev,noexec,relatime - sysfs sysfs",
        " /dev/mqueue rw,nosuid,nodev,noexec,relatime - mqueue mqueue",
        " /dev/shm rw,nosuid,nodev,noexec,relatime - tmpfs shm rw,size=65536k",
        " /proc/sys ro,nosuid,nodev,noexec,relatime - proc", " /sys/fs/cgroup/pids ro,nosuid"})
    EXPECT_TRUE(ran.mentions(part)) << part << "\n" << ran.out;
  EXPECT_FALSE(ran.mentions("/tmp/wherry-test-XXXX"));
}

TEST_F(ContainerMounts, BindsFilesAndDirectoriesAndMakesTheirTargets) {
  fs::create_directories(base_ / "volume/sub");
  std::ofstream(base_ / "volume/file") << "content\n";
  spec_.mounts.push_back({"/srv/new/data", "bind", base_ / "volume", {"rbind", "ro"}});
  spec_.mounts.push_back({"/etc/made/file", "bind", base_ / "volume/file", {"bind"}});
  ASSERT_RAN(read, run({"read", "/srv/new/data/file"}));
  EXPECT_EQ(read.out, "content\n");
  ASSERT_RAN(file, run({"read", "/etc/made/file"}));
  EXPECT_EQ(file.out, "content\n");
  ASSERT_RAN(refused, run({"write", "/srv/new/data/more", "x"}));
  EXPECT_EQ(refused.out, "error " + std::to_string(EROFS) + "\n");
}

TEST_F(ContainerMounts, SayWhenADirectoryMeetsAFile) {
  fs::create_directories(base_ / "volume");
  write_lower("etc/file", "x");
  spec_.mounts.push_back({"/etc/file", "bind", base_ / "volume", {"bind"}});
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(),
            "cannot mount '/etc/file': cannot open '/etc/file': not a directory");
}

TEST_F(ContainerMounts, FillANewVolumeFromTheImage) {
  fs::create_directories(base_ / "lower/data/sub");
  write_lower("data/one", "1\n");
  write_lower("data/sub/two", "2\n");
  fs::create_hard_link(base_ / "lower/data/one", base_ / "lower/data/sub/one-too");
  fs::create_hard_link(base_ / "lower/data/sub/two", base_ / "lower/data/two-too");
  ASSERT_EQ(mkfifo((base_ / "lower/data/fifo").c_str(), 0600), 0);
  ASSERT_EQ(chmod((base_ / "lower/data/fifo").c_str(), 01666), 0);
  fs::create_symlink("/etc/passwd", base_ / "lower/data/link");
  ASSERT_EQ(chown((base_ / "lower/data").c_str(), 33, 44), 0);
  ASSERT_EQ(chmod((base_ / "lower/data/one").c_str(), 04711), 0);
  fs::create_directories(base_ / "volume");
  spec_.mounts.push_back({"/data", "bind", base_ / "volume", {"rbind", "x-wherry.copyup"}});
  ASSERT_RAN(ran, run({"read", "/data/sub/two"}));
  EXPECT_EQ(ran.out, "2\n");
  struct stat status{};
  ASSERT_EQ(stat((base_ / "volume").c_str(), &status), 0);
  EXPECT_EQ(status.st_uid, 33u);
  EXPECT_EQ(status.st_gid, 44u);
  ASSERT_EQ(stat((base_ / "volume/one").c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 07777, 04711u);
  EXPECT_EQ(status.st_nlink, 2u);
  ASSERT_EQ(stat((base_ / "volume/two-too").c_str(), &status), 0);
  EXPECT_EQ(status.st_nlink, 2u);
  ASSERT_EQ(lstat((base_ / "volume/fifo").c_str(), &status), 0);
  EXPECT_TRUE(S_ISFIFO(status.st_mode));
  EXPECT_EQ(status.st_mode & 07777, 01666u);
  EXPECT_EQ(fs::read_symlink(base_ / "volume/link"), "/etc/passwd");
  // Filled once: what the volume holds from then on is its own.
  fs::remove(base_ / "volume/sub/two");
  ASSERT_RAN(again, run({"read", "/data/sub/two"}));
  EXPECT_EQ(again.out, "error 2\n");
}

TEST_F(ContainerMounts, RefuseAnImageWhoseDevIsALink) {
  fs::create_directories(base_ / "canary");
  fs::remove(base_ / "lower/dev");
  fs::create_directory_symlink(base_ / "canary", base_ / "lower/dev");
  std::erase_if(spec_.mounts,
                [](const oci::Mount& m) { return m.destination.starts_with("/dev"); });
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_NE(ran.error().message().find("'/dev' is a symbolic link"), std::string::npos)
      << ran.error().message();
  EXPECT_TRUE(fs::is_empty(base_ / "canary"));
}

TEST_F(ContainerMounts, StayInsideWhenTheTmpfsForDevGoesThroughALink) {
  fs::create_directories(base_ / "canary");
  fs::remove(base_ / "lower/dev");
  fs::create_directory_symlink(base_ / "canary", base_ / "lower/dev");
  EXPECT_FALSE(run({"report"}));
  EXPECT_TRUE(fs::is_empty(base_ / "canary"));
  expect_nothing_left();
}

TEST_F(ContainerMounts, RefuseAnImageWhoseProcOrSysIsALink) {
  for (const char* name : {"proc", "sys"}) {
    fs::remove(base_ / "lower" / name);
    fs::create_directory_symlink("/tmp", base_ / "lower" / name);
    auto ran = run({"report"});
    ASSERT_FALSE(ran);
    EXPECT_EQ(ran.error().message(), "cannot mount '/" + std::string(name) + "': '/" + name +
                                         "' is a symbolic link in the image");
    fs::remove(base_ / "lower" / name);
    fs::create_directories(base_ / "lower" / name);
  }
}

TEST_F(ContainerMounts, FollowLinksOfTheImageOnlyInsideIt) {
  fs::create_directories(base_ / "canary");
  fs::create_directories(base_ / "volume");
  std::ofstream(base_ / "volume/file") << "content\n";
  fs::create_directory_symlink(base_ / "canary", base_ / "lower/out");
  fs::create_directory_symlink("../../../../..", base_ / "lower/up");
  spec_.mounts.push_back({"/up/tmp/deep", "bind", base_ / "volume", {"bind"}});
  ASSERT_RAN(ran, run({"read", "/tmp/deep/file"}));
  EXPECT_EQ(ran.out, "content\n");
  spec_.mounts.back().destination = "/out/deep";
  EXPECT_FALSE(run({"report"})) << "a link to what is not in the image leads nowhere";
  EXPECT_TRUE(fs::is_empty(base_ / "canary"));
}

TEST_F(ContainerMounts, RefuseToCoverProcThroughALinkOfTheImage) {
  fs::create_directories(base_ / "volume");
  fs::create_directory_symlink("/proc/sys", base_ / "lower/innocent");
  spec_.mounts.push_back({"/innocent", "bind", base_ / "volume", {"bind"}});
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(), "cannot mount '/innocent': the destination lies inside '/proc'");
}

TEST_F(ContainerMounts, AnImagesOwnNullIsNeverUsedAsAMask) {
  // No tmpfs on /dev: the image's link would be what masks are made of.
  fs::create_symlink("/proc/sys/kernel/core_pattern", base_ / "lower/dev/null");
  std::erase_if(spec_.mounts,
                [](const oci::Mount& m) { return m.destination.starts_with("/dev"); });
  auto ran = run({"report"});
  ASSERT_FALSE(ran);
  EXPECT_EQ(ran.error().message(), "cannot make the device '/dev/null': file exists");
}

TEST_F(ContainerMounts, StackManyLayersWithLongPaths) {
  auto wanted = options();
  wanted.root.lower.clear();
  std::string longer(200, 'l');
  for (int i = 0; i < 60; ++i) {
    fs::path layer = base_ / longer / longer / ("layer:" + std::to_string(i));
    fs::create_directories(layer);
    std::ofstream(layer / ("file" + std::to_string(i))) << i << "\n";
    wanted.root.lower.push_back(layer);
  }
  wanted.root.lower.push_back(base_ / "lower");
  spec_.process.args = {"/bin/payload", "read", "/file59"};
  ASSERT_RAN(ran, run_options(wanted));
  EXPECT_EQ(ran.out, "59\n");
}

TEST_F(ContainerMounts, PropagateOnlyWhatTheyAreToldTo) {
  fs::create_directories(base_ / "shared/sub");
  ASSERT_EQ(mount("tmpfs", (base_ / "shared").c_str(), "tmpfs", 0, nullptr), 0);
  ASSERT_EQ(mount(nullptr, (base_ / "shared").c_str(), nullptr, MS_SHARED, nullptr), 0);
  spec_.mounts.push_back({"/private", "bind", base_ / "shared", {"rbind"}});
  spec_.mounts.push_back({"/slave", "bind", base_ / "shared", {"rbind", "rslave"}});
  ASSERT_RAN(ran, run({"read", "/proc/self/mountinfo"}));
  EXPECT_TRUE(ran.mentions(" /private rw,relatime - tmpfs")) << ran.out;
  EXPECT_TRUE(ran.mentions(" /slave rw,relatime master:")) << ran.out;
  umount2((base_ / "shared").c_str(), MNT_DETACH);
}

}  // namespace
}  // namespace wherry::runtime
