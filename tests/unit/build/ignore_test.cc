// .dockerignore: which paths stay outside.
#include "build/ignore.h"

#include <gtest/gtest.h>

#include <chrono>

namespace wherry::build {
namespace {

struct Case {
  const char* rules;
  const char* path;
  bool excluded;
};

TEST(Ignore, DecidesAsDockerDoes) {
  const Case table[] = {{"", "a", false},
                        {"a", "a", true},
                        {"a", "b", false},
                        {"a", "a/b/c", true},
                        {"a", "b/a", false},
                        {"/a", "a", true},
                        {"/a", "b/a", false},
                        {"a/", "a/b", true},
                        {"./a//b/../c", "a/c", true},
                        {"a/../b", "b", true},
                        {"../a", "a", false},
                        {"/../a", "a", true},
                        {"# a\na#b", "a#b", true},
                        {" # x", "# x", true},
                        {"  a  ", "a", true},
                        {".", "a", false},
                        {"/", "a", false},
                        {"*", "a", true},
                        {"*", "a/b", true},
                        {"*.md", "x.md", true},
                        {"*.md", "d/x.md", false},
                        {"*/x", "d/x", true},
                        {"*/x", "x", false},
                        {"*/*/x", "a/b/x", true},
                        {"a?c", "abc", true},
                        {"a?c", "a/c", false},
                        {"a?c", "aöc", true},
                        {"a*c", "a/c", false},
                        {"a*b*c", "aXbYc", true},
                        {"a*b*c", "aXbY", false},
                        {"**", "a/b", true},
                        {"**/x", "x", true},
                        {"**/x", "a/b/x", true},
                        {"**/x", "a/b/x/y", true},
                        {"**/x", "a/xx", false},
                        {"a/**", "a", false},
                        {"a/**", "a/b", true},
                        {"a/**/b", "a/b", true},
                        {"a/**/b", "a/x/y/b", true},
                        {"a/**/b", "a/x/y/c", false},
                        {"**/*.o", "src/deep/x.o", true},
                        {"**/**/x", "x", true},
                        {"**/node_modules/**", "p/node_modules/m/i.js", true},
                        {"**/node_modules/**", "p/node_modules", false},
                        {"[a-c]x", "bx", true},
                        {"[a-c]x", "dx", false},
                        {"[^a-c]x", "dx", true},
                        {"[^a-c]x", "ax", false},
                        {"[a\\]]x", "]x", true},
                        {"[ä-ü]", "ö", true},
                        {"\\*", "*", true},
                        {"\\*", "a", false},
                        {"a.b+(c)|{d}$^", "a.b+(c)|{d}$^", true},
                        {"a.b", "axb", false},
                        {"*\n!a", "a", false},
                        {"*\n!a", "a/b", false},
                        {"*\n!a", "b", true},
                        {"!a\n*", "a", true},
                        {"*\n!a\na/secret", "a/secret", true},
                        {"*\n!a\na/secret", "a/x", false},
                        {"d\n!d/keep", "d/keep", false},
                        {"d\n!d/keep", "d/other", true},
                        {"d\n!d/keep\nd/keep", "d/keep", true},
                        {"*\n!**/*.go", "a/b/c.go", false},
                        {"*\n! a ", "a", false},
                        {"\xEF\xBB\xBF"
                         "a",
                         "a", true},
                        {"a\r\nb\r\n", "b", true}};
  for (const Case& c : table) {
    Result<Ignore> ignore = Ignore::parse(c.rules);
    ASSERT_TRUE(ignore) << c.rules << ": " << ignore.error().message();
    EXPECT_EQ(ignore->matches(c.path), c.excluded) << c.rules << " against " << c.path;
  }
}

TEST(Ignore, KnowsWhereAWalkMayStop) {
  const Case table[] = {{"d", "d", false},
                        {"d\n!d/keep", "d", true},
                        {"d\n!d/keep", "d/sub", false},
                        {"d\n!d/a/keep", "d/a", true},
                        {"*\n!x/y/z", "x", true},
                        {"*\n!x/y/z", "w", false},
                        {"!d/keep\nd", "d", false},
                        {"d\n!**/keep", "d/any/depth", true},
                        {"d\n!d/keep\nd", "d", false},
                        {"*\n!x/*/z", "x/q", true},
                        {"*\n!x/*/z", "x/q/r", false}};
  for (const Case& c : table)
    EXPECT_EQ(Ignore::parse(c.rules)->may_contain_included(c.path), c.excluded)
        << c.rules << " below " << c.path;
}

TEST(Ignore, WhatMayStopHasNothingInIt) {
  // Everything that matches() lets in below an excluded directory must be reachable.
  const char* names[] = {"a", "b", "keep"};
  for (const char* rules :
       {"a\n!a/keep", "*\n!a/b", "*\n!**/keep\nb", "a/**\n!a/b/keep", "**\n!b/a"}) {
    Ignore ignore = *Ignore::parse(rules);
    for (std::string one : names)
      for (const char* two : names)
        for (const char* three : names) {
          std::string parent = one + "/" + two;
          if (ignore.matches(parent + "/" + three)) continue;
          EXPECT_TRUE(!ignore.matches(one) || ignore.may_contain_included(one)) << rules;
          EXPECT_TRUE(!ignore.matches(parent) || ignore.may_contain_included(parent)) << rules;
        }
  }
}

TEST(Ignore, RefusesBrokenRulesWithTheirLine) {
  const std::pair<std::string, const char*> table[] = {
      {"ok\n!", "line 2: '!': illegal exclusion pattern: \"!\""},
      {"[a", "line 1: '[a': syntax error in pattern: '[' is not closed"},
      {"[]", "line 1: '[]': syntax error in pattern: '[' is not closed"},
      {"[a-]", "line 1: '[a-]': syntax error in pattern: '[' is not closed"},
      {"a\\", "line 1: 'a\\': syntax error in pattern: it ends with '\\'"}};
  for (const auto& [rules, why] : table) {
    Result<Ignore> ignore = Ignore::parse(rules);
    ASSERT_FALSE(ignore) << rules;
    EXPECT_EQ(ignore.error().message(), why);
  }
  EXPECT_FALSE(Ignore::parse(std::string(5000, 'a')));
  EXPECT_FALSE(Ignore::parse(std::string("a\0b", 3)));
  EXPECT_FALSE(Ignore::parse(std::string(2u << 20, '\n')));
  std::string deep = "x";
  for (int i = 0; i < 100; ++i) deep += "/x";
  EXPECT_FALSE(Ignore::parse(deep));
  EXPECT_TRUE(Ignore::from_rules({"# no comment here"})->matches("# no comment here"));
}

TEST(Ignore, HostileWildcardsStayCheap) {
  std::string stars;
  for (int i = 0; i < 1000; ++i) stars += "*a";
  std::string any;
  for (int i = 0; i < 30; ++i) any += "**/a/";
  Ignore ignore = *Ignore::parse(stars + "b\n" + any + "b");
  std::string path(4000, 'a');
  std::string deep = "a";
  for (int i = 0; i < 1000; ++i) deep += "/a";
  auto begin = std::chrono::steady_clock::now();
  EXPECT_FALSE(ignore.matches(path));
  EXPECT_FALSE(ignore.matches(deep));
  EXPECT_LT(std::chrono::steady_clock::now() - begin, std::chrono::seconds(5));
}

TEST(Ignore, FiveThousandFilesAndFiftyRulesAreQuick) {
  std::string rules;
  for (int i = 0; i < 50; ++i)
    rules += (i % 2 == 0 ? "**/*.tmp" : "build/out") + std::to_string(i) + "\n";
  Ignore ignore = *Ignore::parse(rules);
  size_t excluded = 0;
  auto begin = std::chrono::steady_clock::now();
  for (int i = 0; i < 5000; ++i)
    excluded +=
        ignore.matches("src/module" + std::to_string(i % 70) + "/file.tmp" + std::to_string(i));
  auto took = std::chrono::steady_clock::now() - begin;
  EXPECT_EQ(excluded, 25u);
  RecordProperty(
      "microseconds",
      std::to_string(std::chrono::duration_cast<std::chrono::microseconds>(took).count()));
  EXPECT_LT(took, std::chrono::seconds(2));  // a few ms; room for sanitizers and busy machines
}

}  // namespace
}  // namespace wherry::build
