#include "engine/volume_record.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

Volume sample() {
  return {.name = "data",
          .created = "2026-11-23T01:31:00.123456789Z",
          .labels = {{"tier", "db"}},
          .mountpoint = "/r/volumes/data/_data"};
}

TEST(VolumeDocument, ComesBackAsItWas) {
  Volume volume = sample();
  volume.anonymous = true;
  auto back = parse_volume("data", volume_document(volume));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->name, "data");
  EXPECT_EQ(back->created, volume.created);
  EXPECT_TRUE(back->anonymous);
  EXPECT_EQ(back->labels, volume.labels);
}

TEST(VolumeDocument, AnotherShapeIsCorruptAndNamesTheVolume) {
  for (const char* text : {"", "[]", "{\"CreatedAt\":1}", "{\"Anonymous\":\"x\"}",
                           "{\"Labels\":{\"a\":1}}", "{\"Labels\":{\"a\":{\"b\":{\"c\":{}}}}}"}) {
    auto volume = parse_volume("data", text);
    ASSERT_FALSE(volume) << text;
    EXPECT_EQ(volume.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(volume.error().message().find("'data'"), std::string::npos);
  }
}

TEST(VolumeInspect, HasDockersKeysAndWholeSeconds) {
  EXPECT_EQ(volume_inspect_json(sample()),
            "{\n"
            "    \"CreatedAt\": \"2026-11-23T01:31:00Z\",\n"
            "    \"Driver\": \"local\",\n"
            "    \"Labels\": {\n"
            "        \"tier\": \"db\"\n"
            "    },\n"
            "    \"Mountpoint\": \"/r/volumes/data/_data\",\n"
            "    \"Name\": \"data\",\n"
            "    \"Options\": null,\n"
            "    \"Scope\": \"local\"\n"
            "}");
}

TEST(VolumeName, IsDockersAlphabetAndNoPath) {
  EXPECT_TRUE(check_volume_name("db-1.x_2"));
  for (const char* name : {"", "a", "/a", "a/b", "a:b", "-ab", ".ab", "a b",
                           "\xC3\xA4"
                           "b"}) {
    auto checked = check_volume_name(name);
    ASSERT_FALSE(checked) << name;
    EXPECT_EQ(checked.error().kind(), ErrorKind::kInvalidArgument);
  }
}

bool listed(const VolumeFilter::Pairs& filters, const Volume& volume = sample()) {
  auto filter = VolumeFilter::for_list(filters);
  return filter && filter->matches(volume);
}

TEST(VolumeFilter, EachKeySelects) {
  EXPECT_TRUE(listed({}));
  EXPECT_TRUE(listed({{"name", "at"}}));
  EXPECT_FALSE(listed({{"name", "x"}}));
  EXPECT_TRUE(listed({{"label", "tier"}}));
  EXPECT_TRUE(listed({{"label", "tier=db"}}));
  EXPECT_FALSE(listed({{"label", "tier=web"}}));
  EXPECT_TRUE(listed({{"driver", "local"}}));
  EXPECT_FALSE(listed({{"driver", "nfs"}}));
  EXPECT_TRUE(listed({{"dangling", "true"}}));
  EXPECT_FALSE(listed({{"dangling", "0"}}));
}

TEST(VolumeFilter, AUsedVolumeDoesNotDangle) {
  Volume used = sample();
  used.users = {"abc"};
  EXPECT_FALSE(listed({{"dangling", "1"}}, used));
  EXPECT_TRUE(listed({{"dangling", "false"}}, used));
}

TEST(VolumeFilter, ARepeatedNameIsOrRepeatedLabelsAreAnd) {
  EXPECT_TRUE(listed({{"name", "x"}, {"name", "data"}}));
  EXPECT_FALSE(listed({{"label", "tier"}, {"label", "other"}}));
  EXPECT_FALSE(listed({{"name", "data"}, {"label", "other"}}));
}

TEST(VolumeFilter, PruneTakesAllAndNegatedLabels) {
  auto filter = VolumeFilter::for_prune({{"all", "1"}, {"label!", "tier"}});
  ASSERT_TRUE(filter);
  EXPECT_TRUE(filter->all());
  EXPECT_FALSE(filter->matches(sample()));
  EXPECT_TRUE(filter->matches({.name = "other"}));
}

TEST(VolumeFilter, UnknownKeysAndMalformedValuesAreNamed) {
  for (const VolumeFilter::Pairs& pairs : std::vector<VolumeFilter::Pairs>{
           {{"size", "1"}}, {{"dangling", "perhaps"}}, {{"all", "1"}}}) {
    auto filter = VolumeFilter::for_list(pairs);
    ASSERT_FALSE(filter) << pairs[0].first;
    EXPECT_NE(filter.error().message().find(pairs[0].first), std::string::npos);
  }
}

}  // namespace
}  // namespace wherry::engine
