// Variables, quotes, escapes, patterns and mounts.
#include "build/expand.h"

#include <gtest/gtest.h>

namespace wherry::build {
namespace {

const std::vector<std::string> kEnv = {"A=old",    "EMPTY=",        "PATH=/bin:/sbin", "V=1.2.3",
                                       "W=a b  c", "F=/x/y.tar.gz", "S=a*b?c",         "N=äöü",
                                       "A=new",    "Q=\"x\""};

std::string expanded(const std::string& word, char escape = '\\') {
  Result<std::string> result = expand_word(word, env_expander(kEnv, escape));
  return result ? *result : "ERROR " + result.error().message();
}

TEST(ExpandWord, ReplacesVariablesInAllForms) {
  const std::pair<const char*, const char*> table[] = {{"", ""},
                                                       {"plain", "plain"},
                                                       {"$A", "new"},
                                                       {"${A}", "new"},
                                                       {"x$A-y", "xnew-y"},
                                                       {"$Ax", ""},
                                                       {"${A}x", "newx"},
                                                       {"$UNSET", ""},
                                                       {"$", "$"},
                                                       {"a$", "a$"},
                                                       {"$.", "$."},
                                                       {"$ A", "$ A"},
                                                       {"$1", ""},
                                                       {"$12x", "x"},
                                                       {"$@$*$#$?$-$!", ""},
                                                       {"$$A", "A"},
                                                       {"${A:-d}", "new"},
                                                       {"${EMPTY:-d}", "d"},
                                                       {"${EMPTY-d}", ""},
                                                       {"${UNSET:-d}", "d"},
                                                       {"${UNSET-d}", "d"},
                                                       {"${A:+d}", "d"},
                                                       {"${EMPTY:+d}", ""},
                                                       {"${EMPTY+d}", "d"},
                                                       {"${UNSET+d}", ""},
                                                       {"${UNSET:-${A}}", "new"},
                                                       {"${UNSET:-$A-$V}", "new-1.2.3"},
                                                       {"${UNSET:-${X:-${Y:-deep}}}", "deep"},
                                                       {"${UNSET:-\"a }\"}", "a }"},
                                                       {"${UNSET:-a\\}b}", "a}b"},
                                                       {"${A:?no}", "new"},
                                                       {"${EMPTY?no}", ""},
                                                       {"${V}.${V}", "1.2.3.1.2.3"}};
  for (const auto& [word, result] : table) EXPECT_EQ(expanded(word), result) << word;
}

TEST(ExpandWord, KnowsQuotesAndEscapes) {
  const std::pair<const char*, const char*> table[] = {{"'$A'", "$A"},
                                                       {"\"$A\"", "new"},
                                                       {"\"'$A'\"", "'new'"},
                                                       {"'\"'", "\""},
                                                       {"a'b'c", "abc"},
                                                       {"\\$A", "$A"},
                                                       {"\\\\$A", "\\new"},
                                                       {"a\\ b", "a b"},
                                                       {"a\\", "a"},
                                                       {"\"\\$A\"", "$A"},
                                                       {"\"\\a\"", "\\a"},
                                                       {"\"\\\\\"", "\\"},
                                                       {"\"\\\"\"", "\""},
                                                       {"'a\\b'", "a\\b"},
                                                       {"\\'", "'"},
                                                       {"\"a b\" 'c'", "a b c"},
                                                       {"\"${UNSET:-\"x\"}\"", "x"},
                                                       {"ä$N", "ääöü"}};
  for (const auto& [word, result] : table) EXPECT_EQ(expanded(word), result) << word;
  EXPECT_EQ(expanded("`$A \\$A", '`'), "$A \\new");
  EXPECT_EQ(expanded("\"`$A`\"\\\"", '`'), "$A\"\\");
}

TEST(ExpandWord, CutsAndReplacesByPattern) {
  const std::pair<const char*, const char*> table[] = {{"${V#1.}", "2.3"},
                                                       {"${V#*.}", "2.3"},
                                                       {"${V##*.}", "3"},
                                                       {"${V%.*}", "1.2"},
                                                       {"${V%%.*}", "1"},
                                                       {"${V%x}", "1.2.3"},
                                                       {"${V#?}", ".2.3"},
                                                       {"${V%?}", "1.2."},
                                                       {"${N#?}", "öü"},
                                                       {"${N%?}", "äö"},
                                                       {"${F##*/}", "y.tar.gz"},
                                                       {"${F%.gz}", "/x/y.tar"},
                                                       {"${F%%.*}", "/x/y"},
                                                       {"${S#a\\*}", "b?c"},
                                                       {"${S%\\?c}", "a*b"},
                                                       {"${S#a\\?}", "a*b?c"},
                                                       {"${V#$A}", "1.2.3"},
                                                       {"${V#${X:-1}}", ".2.3"},
                                                       {"${V/./-}", "1-2.3"},
                                                       {"${V//./-}", "1-2-3"},
                                                       {"${V//./}", "123"},
                                                       {"${V/1*2/x}", "x.3"},
                                                       {"${V//?/x}", "xxxxx"},
                                                       {"${N//?/x}", "xxx"},
                                                       {"${F//\\//_}", "_x_y.tar.gz"},
                                                       {"${V/9/x}", "1.2.3"},
                                                       {"${UNSET/a/b}", ""},
                                                       {"${UNSET#a}", ""},
                                                       {"${V//*/all}", "all"},
                                                       {"${V/./$A}", "1new2.3"},
                                                       {"${V/\\*/x}", "1.2.3"},
                                                       {"${V##}", "1.2.3"},
                                                       {"${V%%1.2.3}", ""}};
  for (const auto& [word, result] : table) EXPECT_EQ(expanded(word), result) << word;
}

TEST(ExpandWord, RefusesWhatHasNoMeaning) {
  const std::pair<const char*, const char*> table[] = {
      {"${}", "syntax error: bad substitution"},
      {"${:-x}", "syntax error: bad substitution"},
      {"${{A}}", "syntax error: bad substitution"},
      {"${ A}", "syntax error: bad substitution"},
      {"${A", "syntax error: missing '}'"},
      {"${", "syntax error: missing '}'"},
      {"${A:", "syntax error: missing '}'"},
      {"${A:-x", "syntax error: missing '}'"},
      {"${A/x}", "syntax error: missing '/' in ${}"},
      {"${A/x/y", "syntax error: missing '}'"},
      {"${A:#x}", "unsupported modifier (:#) in substitution"},
      {"${A:/x/y}", "unsupported modifier (:/) in substitution"},
      {"${A!x}", "unsupported modifier (!) in substitution"},
      {"${A^^}", "unsupported modifier (^) in substitution"},
      {"${A:0:1}", "unsupported modifier (:0) in substitution"},
      {"${A#\\a}", "invalid pattern (\\a) in substitution: invalid escape '\\a'"},
      {"${UNSET:?}", "UNSET: is not allowed to be unset"},
      {"${EMPTY:?}", "EMPTY: is not allowed to be empty"},
      {"${UNSET?say $A}", "UNSET: say new"},
      {"'open", "unexpected end of statement while looking for matching single-quote"},
      {"\"open", "unexpected end of statement while looking for matching double-quote"},
      {"\"a'", "unexpected end of statement while looking for matching double-quote"}};
  for (const auto& [word, why] : table)
    EXPECT_EQ(expanded(word), "ERROR failed to process '" + std::string(word) + "': " + why);
}

TEST(ExpandWord, CannotBeMadeToEatMemoryOrTime) {
  std::string big(300'000, 'a');
  std::vector<std::string> env = {"B=" + big, "L=" + std::string(100'000, 'a')};
  Expander words = env_expander(env);
  EXPECT_FALSE(expand_word("$B$B$B$B$B", words));
  EXPECT_FALSE(expand_word("${B//a/$B}", words));
  EXPECT_FALSE(expand_word("\"$B$B$B$B\"", words));
  std::string deep;
  for (int i = 0; i < 100; ++i) deep += "${X:-";
  EXPECT_FALSE(expand_word(deep, words));
  std::string stars;
  for (int i = 0; i < 100; ++i) stars += "*a";
  EXPECT_TRUE(expand_word("${L//" + stars + "b/x}", words));
  EXPECT_FALSE(expand_word("${L#" + std::string(1000, 'a') + "}", words));
  EXPECT_TRUE(expand_word(std::string(100'000, '$'), words));
}

TEST(ExpandWord, TellsWhichVariablesWereMissed) {
  std::set<std::string> unset;
  Expander words = env_expander(kEnv);
  words.unset = &unset;
  ASSERT_TRUE(expand_word("$A $NOPE ${NOR#x} ${FINE:-x} ${ALSO+x}", words));
  EXPECT_EQ(unset, (std::set<std::string>{"NOPE", "NOR"}));
}

TEST(ExpandWords, SplitsAtBlanksThatAreNotQuoted) {
  const std::pair<const char*, std::vector<std::string>> table[] = {{"", {}},
                                                                    {"  ", {}},
                                                                    {"a b", {"a", "b"}},
                                                                    {"$W", {"a", "b", "c"}},
                                                                    {"\"$W\"", {"a b  c"}},
                                                                    {"'a b' c", {"a b", "c"}},
                                                                    {"a\\ b c", {"a b", "c"}},
                                                                    {"x$W", {"xa", "b", "c"}},
                                                                    {"$EMPTY $A", {"new"}},
                                                                    {"\"\" x", {"x"}},
                                                                    {"${UNSET:-1 2}", {"1", "2"}}};
  for (const auto& [word, result] : table) {
    Result<std::vector<std::string>> words = expand_words(word, env_expander(kEnv));
    ASSERT_TRUE(words) << word;
    EXPECT_EQ(*words, result) << word;
  }
}

TEST(ExpandText, QuotesOfAHeredocAreText) {
  const std::pair<const char*, const char*> table[] = {{"'$A' \"$V\"\n", "'new' \"1.2.3\"\n"},
                                                       {"it's\n", "it's\n"},
                                                       {"\\$A\n", "$A\n"},
                                                       {"\\\\\n", "\\\n"},
                                                       {"${UNSET:-d'e}\n", "d'e\n"}};
  for (const auto& [text, result] : table)
    EXPECT_EQ(*expand_text(text, env_expander(kEnv)), result) << text;
  EXPECT_FALSE(expand_text("${A", env_expander(kEnv)));
}

Result<Mount> mount(const std::string& text) {
  static const std::vector<std::string> env = {"DIR=/cache", "MODE=0700", "TYPE=cache"};
  return expand_mount({text, {}}, env_expander(env));
}

TEST(ExpandMount, ReadsEveryKey) {
  Result<Mount> bind = mount("from=base,source=/a,target=/b,rw");
  ASSERT_TRUE(bind) << bind.error().message();
  EXPECT_EQ(bind->type, MountType::kBind);
  EXPECT_EQ(bind->from, "base");
  EXPECT_EQ(bind->source, "/a");
  EXPECT_EQ(bind->target, "/b");
  EXPECT_FALSE(bind->read_only);
  EXPECT_TRUE(mount("target=/b")->read_only);
  EXPECT_FALSE(mount("target=/b,ro=false")->read_only);
  Result<Mount> cache =
      mount("type=$TYPE,dst=$DIR/x,id=i,sharing=locked,mode=$MODE,uid=1,gid=2,src=/s,readonly");
  ASSERT_TRUE(cache) << cache.error().message();
  EXPECT_EQ(cache->type, MountType::kCache);
  EXPECT_EQ(cache->target, "/cache/x");
  EXPECT_EQ(cache->id, "i");
  EXPECT_EQ(cache->sharing, Sharing::kLocked);
  EXPECT_EQ(cache->mode, 0700u);
  EXPECT_EQ(cache->uid, 1u);
  EXPECT_EQ(cache->gid, 2u);
  EXPECT_TRUE(cache->read_only);
  EXPECT_EQ(mount("type=tmpfs,target=/t,size=1m")->size, 1u << 20);
  Result<Mount> secret = mount("type=secret,id=key,env=KEY,required");
  ASSERT_TRUE(secret) << secret.error().message();
  EXPECT_EQ(secret->env, "KEY");
  EXPECT_TRUE(secret->required);
  EXPECT_EQ(mount("type=ssh")->type, MountType::kSsh);
  EXPECT_EQ(mount("\"target=/a,b\",source=x")->target, "/a,b");
}

TEST(ExpandMount, RefusesByName) {
  const std::pair<const char*, const char*> table[] = {
      {"", "unexpected key '' in ''"},
      {"type=bnid,target=/x", "unsupported mount type 'bnid' (did you mean bind?)"},
      {"type=cache,tarjet=/x", "unexpected key 'tarjet' in 'tarjet=/x' (did you mean target?)"},
      {"target", "invalid field 'target' must be a key=value pair"},
      {"type=bind", "a mount of type 'bind' needs a target"},
      {"type=secret", "a mount of type 'secret' needs an id or a target"},
      {"target=/x,from=$X",
       "'from' doesn't support variable expansion, define alias stage instead"},
      {"target=/x,sharing=locked", "unexpected key 'sharing' for mount type 'bind'"},
      {"target=/x,mode=0700", "unexpected key 'mode' for mount type 'bind'"},
      {"type=tmpfs,target=/x,from=y", "unexpected key 'from' for mount type 'tmpfs'"},
      {"type=cache,target=/x,size=1m", "unexpected key 'size' for mount type 'cache'"},
      {"type=cache,target=/x,sharing=lock",
       "unsupported sharing value 'lock' (did you mean locked?)"},
      {"type=cache,target=/x,mode=9", "invalid value '9' for mode"},
      {"type=cache,target=/x,uid=-1", "invalid value '-1' for uid"},
      {"type=tmpfs,target=/x,size=big", "invalid value for size: big"},
      {"target=/x,ro=maybe", "invalid value for ro: maybe"},
      {"type=secret,id=x,env=A=B", "invalid value 'A=B' for env"},
      {"\"target=/x", "failed to parse csv mounts: a quote is not closed"}};
  for (const auto& [text, why] : table) {
    Result<Mount> read = mount(text);
    ASSERT_FALSE(read) << text;
    EXPECT_EQ(read.error().message(), why);
  }
}

}  // namespace
}  // namespace wherry::build
