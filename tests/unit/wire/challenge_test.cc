#include "wire/challenge.h"

#include <gtest/gtest.h>

namespace wherry::wire {
namespace {

TEST(Challenge, ABearerHasItsParameters) {
  auto list = parse_challenges(
      R"(Bearer realm="https://auth.example/token",service="registry",scope="repository:a/b:pull,push")");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].scheme, "bearer");
  EXPECT_EQ(list[0].parameter("realm"), "https://auth.example/token");
  EXPECT_EQ(list[0].parameter("service"), "registry");
  EXPECT_EQ(list[0].parameter("scope"), "repository:a/b:pull,push");
  EXPECT_EQ(list[0].parameter("error"), "");
}

TEST(Challenge, NamesAreOfAnyCase) {
  auto list = parse_challenges(R"(BASIC Realm=plain)");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].scheme, "basic");
  EXPECT_EQ(list[0].parameter("realm"), "plain");
}

TEST(Challenge, SeveralShareAHeader) {
  auto list = parse_challenges(
      R"(Negotiate, NTLM TlRMTVNTUAAC==, Basic realm="a, b", Bearer realm = "c" , service="d")");
  ASSERT_EQ(list.size(), 4u);
  EXPECT_EQ(list[1].scheme, "ntlm");
  EXPECT_EQ(list[2].parameter("realm"), "a, b");
  EXPECT_EQ(list[3].scheme, "bearer");
  EXPECT_EQ(list[3].parameter("realm"), "c");
  EXPECT_EQ(list[3].parameter("service"), "d");
}

TEST(Challenge, QuotedPairsAreUnquoted) {
  auto list = parse_challenges(R"(Basic realm="say \"hi\" \\ there")");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].parameter("realm"), R"(say "hi" \ there)");
}

TEST(Challenge, TheFirstOfTwoSameParametersHolds) {
  auto list = parse_challenges(R"(Bearer realm="https://good/",realm="https://evil/")");
  ASSERT_EQ(list.size(), 1u);
  EXPECT_EQ(list[0].parameter("realm"), "https://good/");
}

TEST(Challenge, WhatCannotBeReadEndsTheList) {
  struct {
    const char* what;
    std::string value;
  } hostile[] = {
      {"empty", ""},
      {"commas", ",,, ,"},
      {"open quote", R"(Bearer realm="https://x)"},
      {"a line break", "Bearer realm=\"a\r\nX: y\""},
      {"a NUL", std::string("Bearer realm=\"a\0b\"", 18)},
      {"no value", "Bearer realm="},
      {"long", "Bearer realm=\"" + std::string(10'000, 'a') + "\""},
      {"no scheme", R"(="a")"},
  };
  for (const auto& [what, value] : hostile) EXPECT_TRUE(parse_challenges(value).empty()) << what;
}

TEST(Challenge, CountsAreBounded) {
  std::string many;
  for (int i = 0; i < 1000; ++i) many += "Basic a=b, ";
  EXPECT_LE(parse_challenges(many).size(), 16u);
  std::string wide = "Bearer ";
  for (int i = 0; i < 100; ++i) wide += "p" + std::to_string(i) + "=v,";
  EXPECT_TRUE(parse_challenges(wide).empty());
}

}  // namespace
}  // namespace wherry::wire
