#include "cli/flags.h"

#include <gtest/gtest.h>

namespace wherry::cli {
namespace {

constexpr Flag kFlags[] = {
    {"interactive", 'i', FlagKind::kBool, "keep stdin open"},
    {"tty", 't', FlagKind::kBool, "a terminal"},
    {"sig-proxy", 0, FlagKind::kBool, "forward signals", "true"},
    {"env", 'e', FlagKind::kList, "variables"},
    {"name", 0, FlagKind::kString, "name"},
    {"network", 0, FlagKind::kString, "network", "bridge", "net"},
    {"memory", 'm', FlagKind::kBytes, "memory"},
    {"cpus", 0, FlagKind::kDecimal, "cpus"},
    {"pids-limit", 0, FlagKind::kInt, "pids"},
};
constexpr RefusedFlag kRefused[] = {{"restart"}, {"cpu-shares", 'c'}};

Result<ParsedFlags> parse(std::vector<std::string> words, bool interspersed = false) {
  return parse_flags(words, FlagTable{kFlags, kRefused, interspersed});
}
std::string error_of(std::vector<std::string> words) {
  auto parsed = parse(std::move(words));
  return parsed ? "no error" : parsed.error().message();
}

TEST(Flags, CombinedLettersAreSeparateFlags) {
  auto parsed = parse({"-it", "debian"});
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->boolean("interactive"));
  EXPECT_TRUE(parsed->boolean("tty"));
  EXPECT_EQ(parsed->arguments, std::vector<std::string>{"debian"});
}

TEST(Flags, EverySpellingOfAValueIsTheSame) {
  for (std::vector<std::string> words : std::vector<std::vector<std::string>>{{"--env", "A=b=c"},
                                                                              {"--env=A=b=c"},
                                                                              {"-e", "A=b=c"},
                                                                              {"-eA=b=c"},
                                                                              {"-e=A=b=c"},
                                                                              {"-ieA=b=c"}}) {
    auto parsed = parse(words);
    ASSERT_TRUE(parsed) << words[0];
    EXPECT_EQ(parsed->list("env"), std::vector<std::string>{"A=b=c"}) << words[0];
  }
}

TEST(Flags, StopAtTheFirstArgumentOfACommandThatRunsAProgram) {
  auto parsed = parse({"-i", "debian", "-t", "--name", "x"});
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->boolean("tty"));
  EXPECT_EQ(parsed->arguments, (std::vector<std::string>{"debian", "-t", "--name", "x"}));
}

TEST(Flags, MayFollowArgumentsOfOtherCommands) {
  auto parsed = parse({"web", "-t", "--", "-i"}, true);
  ASSERT_TRUE(parsed);
  EXPECT_TRUE(parsed->boolean("tty"));
  EXPECT_FALSE(parsed->boolean("interactive"));
  EXPECT_EQ(parsed->arguments, (std::vector<std::string>{"web", "-i"}));
}

TEST(Flags, BooleansTakeAnExplicitValueOnlyBehindEquals) {
  auto parsed = parse({"--sig-proxy=false", "-t=false", "false"});
  ASSERT_TRUE(parsed);
  EXPECT_FALSE(parsed->boolean("sig-proxy"));
  EXPECT_FALSE(parsed->boolean("tty"));
  EXPECT_TRUE(parsed->has("tty"));
  EXPECT_EQ(parsed->arguments, std::vector<std::string>{"false"});
  EXPECT_TRUE(parse({})->boolean("sig-proxy"));
}

TEST(Flags, TheLastValueWinsAndAnAliasIsTheSameFlag) {
  auto parsed = parse({"--network", "none", "--net=host"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->text("network"), "host");
  EXPECT_EQ(parse({})->text("network"), "bridge");
}

TEST(Flags, UnknownOnesNameTheNearest) {
  auto parsed = parse({"--nmae", "x"});
  ASSERT_FALSE(parsed);
  EXPECT_EQ(parsed.error().message(), "unknown flag: --nmae");
  EXPECT_EQ(parsed.error().hint(), "did you mean '--name'?");
  EXPECT_EQ(error_of({"-z"}), "unknown shorthand flag: 'z' in -z");
  EXPECT_EQ(error_of({"-izx"}), "unknown shorthand flag: 'z' in -izx");
}

TEST(Flags, ThoseThatAreNotThereYetAreRefusedByName) {
  EXPECT_EQ(error_of({"--restart", "always"}), "'--restart' is not supported yet");
  EXPECT_EQ(error_of({"--restart=always"}), "'--restart' is not supported yet");
  EXPECT_EQ(error_of({"-c", "2"}), "'--cpu-shares' is not supported yet");
  EXPECT_EQ(parse({"--restart=no"}).error().kind(), ErrorKind::kUnsupported);
}

TEST(Flags, BadValuesAreErrorsWithTheFlagAndTheValue) {
  EXPECT_EQ(error_of({"-m", "12q"}),
            "invalid argument \"12q\" for \"-m, --memory\" flag: invalid size: '12q'");
  EXPECT_NE(
      error_of({"--pids-limit", "x"}).find("invalid argument \"x\" for \"--pids-limit\" flag"),
      std::string::npos);
  EXPECT_NE(error_of({"--cpus=-1"}).find("failed to parse -1"), std::string::npos);
  EXPECT_NE(error_of({"-t=maybe"}).find("invalid argument \"maybe\""), std::string::npos);
  EXPECT_EQ(error_of({"--name"}), "flag needs an argument: --name");
  EXPECT_EQ(error_of({"-ie"}), "flag needs an argument: -e");
  EXPECT_NE(error_of({std::string("--name=a\0b", 10)}).find("NUL"), std::string::npos);
}

TEST(Flags, HostileWordsNeverCrashTheParser) {
  for (std::string word : {"-", "--=", "--=x", "-=", "---", "--=--", "-\xff", "--\xff\xfe"}) {
    auto parsed = parse({word});
    if (word == "-") {
      ASSERT_TRUE(parsed);
      EXPECT_EQ(parsed->arguments, std::vector<std::string>{"-"});
    } else {
      EXPECT_FALSE(parsed) << word;
    }
  }
  EXPECT_FALSE(parse({"--" + std::string(1 << 20, 'x')}));
  EXPECT_TRUE(parse({"-" + std::string(1 << 16, 'i')}));
}

TEST(Flags, SizesAndDecimalsBecomeNumbers) {
  auto parsed = parse({"-m512m", "--cpus", "1.5", "--pids-limit=-1"});
  ASSERT_TRUE(parsed);
  EXPECT_EQ(parsed->bytes("memory"), 512LL << 20);
  EXPECT_EQ(parsed->billionths("cpus"), 1'500'000'000);
  EXPECT_EQ(parsed->integer("pids-limit"), -1);
  EXPECT_EQ(parse_billionths(".25"), 250'000'000);
  EXPECT_EQ(parse_billionths("0.0000000001"), std::nullopt);
  EXPECT_EQ(parse_billionths("."), std::nullopt);
  EXPECT_EQ(parse_billionths("1e3"), std::nullopt);
  EXPECT_EQ(parse_billionths("99999999999"), std::nullopt);
}

TEST(Flags, HelpShowsLettersValuesAndDefaults) {
  std::string help = flags_help({kFlags, kRefused, false});
  EXPECT_NE(help.find("  -e, --env list"), std::string::npos);
  EXPECT_NE(help.find("(default bridge)"), std::string::npos);
  EXPECT_EQ(help.find("restart"), std::string::npos);
  EXPECT_TRUE(parse({"--help"})->help);
  EXPECT_TRUE(parse({"-h"})->help);
}

}  // namespace
}  // namespace wherry::cli
