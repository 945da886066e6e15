#include "engine/log_config.h"

#include <gtest/gtest.h>

namespace wherry::engine {
namespace {

TEST(LogConfig, LimitsAreReadFromTheOptions) {
  LogConfig log{"json-file", {{"max-size", "10m"}, {"max-file", "3"}}};
  ASSERT_TRUE(check_log_config(log));
  EXPECT_EQ(log_max_size(log), 10u << 20);
  EXPECT_EQ(log_max_files(log), 3);
  EXPECT_EQ(log_max_size({"json-file", {{"max-size", "-1"}}}), 0u);
  EXPECT_EQ(log_max_files({"json-file", {}}), 1);
}

TEST(LogConfig, DefaultsFillInWhereTheDriverIsTheirs) {
  LogConfig defaults{"json-file", {{"max-size", "1m"}, {"max-file", "2"}}};
  LogConfig log = effective_log_config({"", {{"max-file", "5"}}}, defaults);
  EXPECT_EQ(log.driver, "json-file");
  EXPECT_EQ(log_max_size(log), 1u << 20);
  EXPECT_EQ(log_max_files(log), 5);
  EXPECT_TRUE(effective_log_config({"none", {}}, defaults).options.empty());
  EXPECT_EQ(effective_log_config({"json-file", {}}, {"none", {}}).driver, "json-file");
  EXPECT_EQ(effective_log_config({}, {"none", {}}).driver, "none");
}

TEST(LogConfig, WhatIsNotThereIsRefusedByName) {
  struct Case {
    LogConfig log;
    ErrorKind kind;
    const char* word;
  };
  for (const Case& each : std::vector<Case>{
           {{"journald", {}}, ErrorKind::kUnsupported, "'journald'"},
           {{"nonsense", {}}, ErrorKind::kInvalidArgument, "no log driver named 'nonsense'"},
           {{"none", {{"max-size", "1m"}}}, ErrorKind::kInvalidArgument, "'max-size'"},
           {{"json-file", {{"compress", "true"}}}, ErrorKind::kUnsupported, "'compress'"},
           {{"json-file", {{"max-siz", "1m"}}}, ErrorKind::kInvalidArgument, "'max-siz'"},
           {{"json-file", {{"max-size", "0"}}}, ErrorKind::kInvalidArgument, "'max-size=0'"},
           {{"json-file", {{"max-file", "0"}}}, ErrorKind::kInvalidArgument, "'max-file=0'"},
           {{"json-file", {{"max-file", "x"}}}, ErrorKind::kInvalidArgument, "'max-file=x'"}}) {
    auto checked = check_log_config(each.log);
    ASSERT_FALSE(checked) << each.word;
    EXPECT_EQ(checked.error().kind(), each.kind) << each.word;
    EXPECT_NE(checked.error().message().find(each.word), std::string::npos)
        << checked.error().message();
  }
}

}  // namespace
}  // namespace wherry::engine
