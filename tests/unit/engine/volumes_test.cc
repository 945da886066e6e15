#include "engine/volumes.h"

#include <gtest/gtest.h>

#include <algorithm>

namespace wherry::engine {
namespace {

TEST(Binds, AHostPathIsBoundReadWriteAndPrivate) {
  auto point = parse_bind("/srv//a/../b:/data/");
  ASSERT_TRUE(point);
  EXPECT_EQ(point->type, "bind");
  EXPECT_EQ(point->source, "/srv/b");
  EXPECT_EQ(point->destination, "/data");
  EXPECT_EQ(point->propagation, "rprivate");
  EXPECT_TRUE(point->rw);
}

TEST(Binds, ANameIsAVolumeAndALonePathAnAnonymousOne) {
  auto named = parse_bind("db-1.x:/var/lib/db:ro,nocopy");
  ASSERT_TRUE(named);
  EXPECT_EQ(named->type, "volume");
  EXPECT_EQ(named->name, "db-1.x");
  EXPECT_FALSE(named->rw);
  EXPECT_FALSE(named->copy);
  EXPECT_EQ(named->mode, "ro,nocopy");
  auto anonymous = parse_bind("/cache");
  ASSERT_TRUE(anonymous);
  EXPECT_EQ(anonymous->type, "volume");
  EXPECT_EQ(anonymous->name, "");
}

TEST(Binds, PropagationIsKept) {
  EXPECT_EQ(parse_bind("/a:/b:ro,rslave")->propagation, "rslave");
  EXPECT_EQ(parse_bind("/a:/b:Z,shared")->propagation, "shared");
}

struct BadBind {
  std::string text;
  std::string message;  // a part of it
};
class BadBinds : public testing::TestWithParam<BadBind> {};

TEST_P(BadBinds, AreRefusedInDockersWords) {
  auto point = parse_bind(GetParam().text);
  ASSERT_FALSE(point) << GetParam().text;
  EXPECT_EQ(point.error().kind(), ErrorKind::kInvalidArgument);
  EXPECT_NE(point.error().message().find(GetParam().message), std::string::npos)
      << point.error().message();
}

INSTANTIATE_TEST_SUITE_P(
    Table, BadBinds,
    testing::Values(
        BadBind{"", "invalid volume specification: ''"},
        BadBind{":/b", "invalid spec: :/b: empty section between colons"},
        BadBind{"/a:", "empty section between colons"},
        BadBind{"/a::ro", "empty section between colons"},
        BadBind{"/a:/b:ro:x", "invalid volume specification: '/a:/b:ro:x'"},
        BadBind{"/a:b", "mount path must be absolute"},
        BadBind{"name", "mount path must be absolute"}, BadBind{"/a:/", "destination can't be '/'"},
        BadBind{"/a:/x/..", "destination can't be '/'"},
        BadBind{"/a:/b/../../..", "destination can't be '/'"},
        BadBind{"../up:/b", "includes invalid characters for a local volume name"},
        BadBind{"a/b:/b", "includes invalid characters for a local volume name"},
        BadBind{".:/b", "includes invalid characters for a local volume name"},
        BadBind{"..:/b", "includes invalid characters for a local volume name"},
        BadBind{std::string(300, 'a') + ":/b", "includes invalid characters"},
        BadBind{"/a:/b:", "empty section between colons"},
        BadBind{"/a:/b:exec", "invalid mode: exec"}, BadBind{"/a:/b:ro,rw", "invalid mode: ro,rw"},
        BadBind{"/a:/b:ro,", "invalid mode: ro,"}, BadBind{"/a:/b:nocopy", "invalid mode: nocopy"},
        BadBind{"vol:/b:rshared", "invalid mode: rshared"},
        BadBind{"/a:/b:slave,shared", "invalid mode"},
        BadBind{std::string(9000, '/') + ":/b", "invalid volume specification"},
        BadBind{std::string("/a\0:/b", 6), "invalid volume specification"}));

int counter = 0;
std::string numbered() {
  return "volume" + std::to_string(++counter);
}

TEST(MountPoints, AnImageVolumeGivesWayToABindAtTheSamePlace) {
  counter = 0;
  auto points = plan_mount_points({"/host:/data"}, {"/data", "/cache"}, "/root", numbered);
  ASSERT_TRUE(points);
  ASSERT_EQ(points->size(), 2u);
  EXPECT_EQ((*points)[0].type, "bind");
  EXPECT_EQ((*points)[1].destination, "/cache");
  EXPECT_TRUE((*points)[1].anonymous);
  EXPECT_EQ((*points)[1].source, "/root/volumes/volume1/_data");
}

TEST(MountPoints, TwoBindsAtOnePlaceAreRefused) {
  auto points = plan_mount_points({"/a:/x", "/b:/x/"}, {}, "/root", numbered);
  ASSERT_FALSE(points);
  EXPECT_EQ(points.error().message(), "Duplicate mount point: /x");
}

TEST(MountPoints, ParentsAreMountedBeforeChildren) {
  auto points = plan_mount_points({"/a:/x/y/z", "/b:/x", "vol:/x/y:ro"}, {}, "/root", numbered);
  ASSERT_TRUE(points);
  std::vector<oci::Mount> mounts = volume_mounts(*points);
  ASSERT_EQ(mounts.size(), 3u);
  EXPECT_EQ(mounts[0].destination, "/x");
  EXPECT_EQ(mounts[1].destination, "/x/y");
  EXPECT_EQ(mounts[2].destination, "/x/y/z");
  EXPECT_EQ(mounts[1].options,
            (std::vector<std::string>{"rbind", "rprivate", "rro", "x-wherry.copyup"}));
  EXPECT_EQ(mounts[0].options, (std::vector<std::string>{"rbind", "rprivate", "rw"}));
}

}  // namespace
}  // namespace wherry::engine
