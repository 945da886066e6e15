// docker-credential-NAME as scripts that do what they should, and everything else.
#include "transfer/credential_helper.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>

#include <filesystem>
#include <fstream>

#include "base/clock.h"

namespace wherry::transfer {
namespace {

using std::chrono::milliseconds;

class CredentialHelperTest : public ::testing::Test {
 protected:
  void SetUp() override {
    signal(SIGPIPE, SIG_IGN);
    char name[] = "/tmp/helpers-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    folder_ = name;
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }

  CredentialHelper helper(const std::string& script, milliseconds patience = milliseconds(20'000)) {
    std::string path = folder_ + "/docker-credential-test";
    std::ofstream(path) << "#!/bin/sh\n" + script + "\n";
    chmod(path.c_str(), 0700);
    Result<CredentialHelper> found =
        CredentialHelper::find("test", "relative:" + folder_, patience);
    EXPECT_TRUE(found);
    return std::move(*found);
  }
  std::string content(const std::string& name) {
    std::ifstream file(folder_ + "/" + name);
    return {std::istreambuf_iterator<char>(file), {}};
  }

  std::string folder_;
};

TEST_F(CredentialHelperTest, ItsAnswerIsUserAndPassword) {
  auto found = helper(R"(cat > "$0.asked"; echo '{"ServerURL":"h","Username":"u","Secret":"p:w"}')")
                   .get("host:5000");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)->username, "u");
  EXPECT_EQ((*found)->password, "p:w");
  EXPECT_EQ(content("docker-credential-test.asked"), "host:5000");
}

TEST_F(CredentialHelperTest, TheUserTokenMeansAnIdentityToken) {
  CredentialHelper keeps =
      helper(R"(if [ $1 = store ]; then cat > "$0.kept"; else cat > /dev/null; cat "$0.kept"; fi)");
  ASSERT_TRUE(keeps.store("h", {"u", "p", "identity"}));
  EXPECT_EQ(content("docker-credential-test.kept").find("\"p\""), std::string::npos);
  auto found = keeps.get("h");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)->username, "");
  EXPECT_EQ((*found)->identity_token, "identity");
}

TEST_F(CredentialHelperTest, OneThatHasNoneSaysSo) {
  CredentialHelper none =
      helper("cat > /dev/null; echo credentials not found in native keychain; exit 1");
  auto found = none.get("h");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_FALSE(*found);
  EXPECT_TRUE(none.erase("h"));
}

TEST_F(CredentialHelperTest, OneThatDoesNotReadWhatItIsToldMayStillAnswer) {
  auto found = helper(R"(exec < /dev/null; echo '{"Username":"u","Secret":"p"}')").get("h");
  ASSERT_TRUE(found) << found.error().message();
  EXPECT_EQ((*found)->username, "u");
}

TEST_F(CredentialHelperTest, ItsRefusalsAreTold) {
  CredentialHelper locked = helper("echo the keychain is locked; exit 2");
  for (const Error& error : {locked.get("h").error(), locked.store("h", {"u", "p", ""}).error(),
                             locked.erase("h").error()}) {
    EXPECT_EQ(error.kind(), ErrorKind::kUnavailable);
    for (const char* word : {"docker-credential-test", "'h'", "the keychain is locked"})
      EXPECT_NE(error.message().find(word), std::string::npos) << error.message();
  }
  Error silent = helper("exit 3").store("h", {"u", "p", ""}).error();
  EXPECT_NE(silent.message().find("it exited with 3"), std::string::npos) << silent.message();
}

TEST_F(CredentialHelperTest, AnswersThatAreNoneAreErrors) {
  for (const char* answer :
       {"", "no json", "[]", "{}", R"({"Username":"u"})", R"({"Username":1,"Secret":"p"})"}) {
    auto found = helper(std::string("echo '") + answer + "'").get("h");
    ASSERT_FALSE(found) << answer;
    EXPECT_EQ(found.error().kind(), ErrorKind::kCorrupt) << answer;
  }
}

TEST_F(CredentialHelperTest, AnAnswerWithoutEndIsCutOff) {
  auto found = helper("exec yes").get("h");
  ASSERT_FALSE(found);
  EXPECT_EQ(found.error().kind(), ErrorKind::kResourceExhausted) << found.error().message();
}

TEST_F(CredentialHelperTest, OneThatHangsIsEnded) {
  for (const char* script : {"exec sleep 1000", "exec sleep 1000 > /dev/null"}) {
    int64_t begin = monotonic_ns();
    auto found = helper(script, milliseconds(200)).get("h");
    ASSERT_FALSE(found);
    EXPECT_EQ(found.error().kind(), ErrorKind::kUnavailable) << found.error().message();
    EXPECT_NE(found.error().message().find("in time"), std::string::npos);
    EXPECT_LT(monotonic_ns() - begin, 100'000'000'000);
  }
}

TEST_F(CredentialHelperTest, OneThatIsNotThereIsNamedAndAPathIsNoName) {
  auto missing = CredentialHelper::find("absent", folder_);
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(missing.error().message(),
            "credential helper 'docker-credential-absent' is not in PATH");
  for (const char* name : {"", "../x", "/bin/sh"})
    EXPECT_EQ(CredentialHelper::find(name, folder_).error().kind(), ErrorKind::kInvalidArgument);
}

}  // namespace
}  // namespace wherry::transfer
