#include "engine/merge.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

using Words = std::vector<std::string>;

struct CommandCase {
  const char* name;
  Words user_entrypoint, user_cmd;
  bool reset;
  Words image_entrypoint, image_cmd;
  Words expected;  // empty: refused
};

class MergedCommand : public testing::TestWithParam<CommandCase> {};

TEST_P(MergedCommand, FollowsDockersRules) {
  const CommandCase& test = GetParam();
  ContainerConfig user;
  user.entrypoint = test.user_entrypoint;
  user.cmd = test.user_cmd;
  user.entrypoint_reset = test.reset;
  oci::ImageRunConfig image;
  image.entrypoint = test.image_entrypoint;
  image.cmd = test.image_cmd;
  auto line = command_line(merge_config(user, image));
  if (test.expected.empty()) {
    ASSERT_FALSE(line);
    EXPECT_EQ(line.error().message(), "no command specified");
  } else {
    ASSERT_TRUE(line);
    EXPECT_EQ(*line, test.expected);
  }
}

INSTANTIATE_TEST_SUITE_P(
    Table, MergedCommand,
    testing::Values(
        CommandCase{"ImageCommandAlone", {}, {}, false, {}, {"bash"}, {"bash"}},
        CommandCase{
            "UserCommandReplacesImageCommand", {}, {"ls", "-l"}, false, {}, {"bash"}, {"ls", "-l"}},
        CommandCase{"ImageEntrypointTakesImageCommand", {}, {}, false, {"e"}, {"c"}, {"e", "c"}},
        CommandCase{"ImageEntrypointTakesUserCommand", {}, {"u"}, false, {"e"}, {"c"}, {"e", "u"}},
        CommandCase{"UserEntrypointDropsImageCommand", {"x"}, {}, false, {"e"}, {"c"}, {"x"}},
        CommandCase{
            "UserEntrypointTakesUserCommand", {"x"}, {"u"}, false, {"e"}, {"c"}, {"x", "u"}},
        CommandCase{"ResetEntrypointRunsTheUserCommand", {}, {"u"}, true, {"e"}, {"c"}, {"u"}},
        CommandCase{"ResetEntrypointWithoutCommandIsRefused", {}, {}, true, {"e"}, {"c"}, {}},
        CommandCase{"NothingAtAllIsRefused", {}, {}, false, {}, {}, {}},
        CommandCase{"AnEmptyProgramIsRefused", {}, {""}, false, {}, {"c"}, {}}),
    [](const auto& info) { return info.param.name; });

TEST(Merge, UserVariablesWinByNameAndImageVariablesFollow) {
  ContainerConfig user;
  user.env = {"PATH=/mine", "A=1"};
  oci::ImageRunConfig image;
  image.env = {"PATH=/image", "LANG=C", "AB=2"};
  EXPECT_EQ(merge_config(user, image).env, (Words{"PATH=/mine", "A=1", "LANG=C", "AB=2"}));
}

TEST(Merge, UserLabelsWinAndSetsAreUnited) {
  ContainerConfig user;
  user.labels = {{"a", "user"}};
  user.volumes = {"/data"};
  user.exposed_ports = {"80/tcp"};
  oci::ImageRunConfig image;
  image.labels = {{"a", "image"}, {"b", "image"}};
  image.volumes = {"/data", "/cache"};
  image.exposed_ports = {"443/tcp", "80/tcp"};
  ContainerConfig merged = merge_config(user, image);
  EXPECT_EQ(merged.labels, (std::map<std::string, std::string>{{"a", "user"}, {"b", "image"}}));
  EXPECT_EQ(merged.volumes, (Words{"/cache", "/data"}));
  EXPECT_EQ(merged.exposed_ports, (Words{"443/tcp", "80/tcp"}));
}

TEST(Merge, UserDirectoryAndStopSignalComeFromTheImageOnlyWhenTheUserGaveNone) {
  oci::ImageRunConfig image;
  image.user = "web";
  image.working_dir = "/srv";
  image.stop_signal = "SIGQUIT";
  ContainerConfig merged = merge_config({}, image);
  EXPECT_EQ(merged.user, "web");
  EXPECT_EQ(merged.working_dir, "/srv");
  EXPECT_EQ(merged.stop_signal, "SIGQUIT");
  ContainerConfig own;
  own.user = "0";
  own.working_dir = "/";
  own.stop_signal = "INT";
  merged = merge_config(own, image);
  EXPECT_EQ(merged.user, "0");
  EXPECT_EQ(merged.working_dir, "/");
  EXPECT_EQ(merged.stop_signal, "INT");
}

TEST(Merge, AnEnvironmentEntryWithoutValueTakesTheVariableAway) {
  EXPECT_EQ(override_environment({"A=1", "B=2"}, {"B", "C=3", "A=9"}), (Words{"A=9", "C=3"}));
  EXPECT_EQ(override_environment({"A=1"}, {"A="}), (Words{"A="}));
}

}  // namespace
}  // namespace wherry::engine
