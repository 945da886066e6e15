#include "ocicli/log.h"

#include <gtest/gtest.h>

namespace wherry::ocicli {
namespace {

constexpr int64_t kTime = 1'800'000'000'000'000'000;

TEST(LogLine, AsJsonIsWhatContainerdReads) {
  EXPECT_EQ(log_line(true, Level::kError, "cannot \"do\" it\n", kTime),
            "{\"level\":\"error\",\"msg\":\"cannot \\\"do\\\" it\\n\","
            "\"time\":\"2027-01-15T08:00:00Z\"}\n");
}

TEST(LogLine, AsTextIsLogfmt) {
  EXPECT_EQ(log_line(false, Level::kWarning, "a b", kTime),
            "time=\"2027-01-15T08:00:00Z\" level=warning msg=\"a b\"\n");
}

TEST(LogLine, IsOneLineOfUtf8WhateverTheTextIs) {
  EXPECT_NE(log_line(true, Level::kError, std::string("a\x01\x7f\0b", 5), kTime)
                .find("\"a\\u0001\\u007f\\u0000b\""),
            std::string::npos);
  EXPECT_NE(log_line(true, Level::kError, "gr\xc3\xbc\xc3\x9f", kTime).find("gr\xc3\xbc\xc3\x9f"),
            std::string::npos);
  EXPECT_NE(log_line(true, Level::kError, "a\xff\xc3(\xe2\x82", kTime)
                .find("\"a??"
                      "(??\""),
            std::string::npos);
}

TEST(LogLevel, KnowsLogrussWords) {
  EXPECT_EQ(parse_level("warn"), Level::kWarning);
  EXPECT_EQ(parse_level("debug"), Level::kDebug);
  EXPECT_EQ(parse_level("loud"), std::nullopt);
}

}  // namespace
}  // namespace wherry::ocicli
