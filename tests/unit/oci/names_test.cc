// Which texts are repositories and tags.
#include "oci/names.h"

#include <gtest/gtest.h>

#include <string>

namespace wherry::oci {
namespace {

TEST(Names, RepositoriesHaveEverySeparatorBetweenLettersAndDigits) {
  for (const char* name : {"a", "0", "a.b", "a_b", "a__b", "a-b", "a---b", "a/b.c/d__e", "a1/2b"})
    EXPECT_TRUE(is_repository(name)) << name;
  EXPECT_TRUE(is_repository(std::string(255, 'a')));
}

TEST(Names, RepositoriesHaveNothingElse) {
  for (const char* name :
       {"",   "/",  "a/", "/a", "a//b", ".", "..",  "../a", "a/../b", "a..b",  "a._b",    "a___b",
        "a_", "_a", "-a", "a-", "a-_b", "A", "a b", "a:b",  "a\\b",   "a%2fb", "\xc3\xa4"})
    EXPECT_FALSE(is_repository(name)) << name;
  EXPECT_FALSE(is_repository(std::string(256, 'a')));
}

TEST(Names, TagsAreOneWord) {
  for (const char* tag : {"1", "latest", "_x", "A.b-c_d", "1.2.3"}) EXPECT_TRUE(is_tag(tag)) << tag;
  EXPECT_TRUE(is_tag(std::string(128, 'x')));
  for (const char* tag : {"", ".x", "-x", "..", "a/b", "a:b", "a b", "a\n", "\xc3\xa4"})
    EXPECT_FALSE(is_tag(tag)) << tag;
  EXPECT_FALSE(is_tag(std::string(129, 'x')));
}

}  // namespace
}  // namespace wherry::oci
