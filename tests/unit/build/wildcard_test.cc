#include "build/wildcard.h"

#include <gtest/gtest.h>

namespace wherry::build {
namespace {

struct Case {
  const char* pattern;
  const char* name;
  bool matches;
};

TEST(Wildcard, MatchesAsFilepathMatchDoes) {
  const Case cases[] = {
      {"abc", "abc", true},
      {"*", "abc", true},
      {"*", "", true},
      {"*", ".hidden", true},
      {"*c", "abc", true},
      {"a*", "a", true},
      {"a*", "ab/c", false},
      {"a*/b", "abc/b", true},
      {"a*b*c*d*e*/f", "axbxcxdxe/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxexxx/f", true},
      {"a*b*c*d*e*/f", "axbxcxdxe/xxx/f", false},
      {"a*b?c*x", "abxbbxdbxebxczzx", true},
      {"a*b?c*x", "abxbbxdbxebxczzy", false},
      {"ab[c]", "abc", true},
      {"ab[b-d]", "abc", true},
      {"ab[e-g]", "abc", false},
      {"ab[^c]", "abc", false},
      {"ab[^e-g]", "abc", true},
      {"a\\*b", "a*b", true},
      {"a\\*b", "ab", false},
      {"a?b", "a\u263ab", true},
      {"a[^a]b", "a\u263ab", true},
      {"a??b", "a\u263ab", false},
      {"a?b", "a/b", false},
      {"a*b", "a/b", false},
      {"[\\]a]", "]", true},
      {"[\\-x]", "-", true},
      {"[x\\-]", "x", true},
      {"*x", "xxx", true},
      {"arr[[]0].txt", "arr[0].txt", true},
      {"[\u03b1-\u03c9]", "\u03b2", true},
      {"?", "\xff", true},
      {"\xff*", "\xff\xfe", true},
      {"[^x]", "\xfe", true},
      {"", "", true},
      {"", "a", false},
      {"a", "", false},
      {"**", "ab", true},
  };
  for (const Case& c : cases)
    EXPECT_EQ(matches_wildcard(c.pattern, c.name), c.matches) << c.pattern << " " << c.name;
}

TEST(Wildcard, RefusesWhatIsMalformed) {
  for (const char* pattern :
       {"[", "[]a]", "[-]", "[x-]", "[-x]", "[a-b-c]", "[^", "[^bc", "a[", "a\\", "[\\", "a["}) {
    EXPECT_FALSE(check_wildcard(pattern)) << pattern;
    EXPECT_FALSE(matches_wildcard(pattern, "a")) << pattern;
  }
  EXPECT_EQ(check_wildcard("[").error().message(), "invalid pattern '[': syntax error in pattern");
}

TEST(Wildcard, TakesPolynomialTime) {
  std::string pattern, name(20'000, 'a');
  for (int i = 0; i < 200; ++i) pattern += "a*";
  EXPECT_FALSE(matches_wildcard(pattern + "b", name));
  EXPECT_TRUE(matches_wildcard(pattern, name));
}

TEST(Wildcard, TellsPatternsFromNames) {
  EXPECT_TRUE(has_wildcard("a*"));
  EXPECT_TRUE(has_wildcard("[a]"));
  EXPECT_FALSE(has_wildcard("a\\*"));
  EXPECT_FALSE(has_wildcard("a]"));
  EXPECT_EQ(unescape("a\\*\\\\b\\"), "a*\\b\\");
}

}  // namespace
}  // namespace wherry::build
