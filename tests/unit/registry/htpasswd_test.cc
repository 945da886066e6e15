#include "registry/htpasswd.h"

#include <crypt.h>
#include <gtest/gtest.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

namespace wherry::registry {
namespace {

std::string bcrypt(const std::string& password) {
  char salt[CRYPT_GENSALT_OUTPUT_SIZE];
  crypt_data data{};
  EXPECT_NE(crypt_gensalt_rn("$2b$", 4, nullptr, 0, salt, sizeof salt), nullptr);
  return crypt_r(password.c_str(), salt, &data);
}

// base64 of "user:secret" and of "user:wrong".
const std::string kGood = "Basic dXNlcjpzZWNyZXQ=";
const std::string kWrong = "Basic dXNlcjp3cm9uZw==";

class AuthenticatorTest : public testing::Test {
 protected:
  void SetUp() override {
    folder_ = std::filesystem::temp_directory_path() / ("htpasswd-" + std::to_string(getpid()));
    std::filesystem::create_directory(folder_);
    write("user:" + bcrypt("secret") + "\n");
  }
  void TearDown() override { std::filesystem::remove_all(folder_); }
  // As an editor does: a new file in the place of the old.
  void write(const std::string& text) {
    std::ofstream(folder_ / "new") << text;
    std::filesystem::rename(folder_ / "new", folder_ / "users");
  }
  std::unique_ptr<Authenticator> opened() {
    auto made = Authenticator::open(folder_ / "users");
    EXPECT_TRUE(made) << made.error().message();
    return made ? std::move(*made) : nullptr;
  }
  std::filesystem::path folder_;
};

TEST(Htpasswd, ReadsUsersAndSkipsComments) {
  std::string hash = bcrypt("x");
  auto users = parse_htpasswd("# people\n\nann:" + hash + "\r\nbob:" + hash + "\n");
  ASSERT_TRUE(users);
  EXPECT_EQ(users->size(), 2u);
  EXPECT_EQ(users->at("ann"), hash);
}

TEST(Htpasswd, NamesTheLineOfWhatItDoesNotTake) {
  std::string tail(53, 'a');
  for (const std::string& line :
       {std::string("ann"), std::string(":x"), std::string("ann:plain"),
        std::string("ann:{SHA}W6ph5Mm5Pz8GgiULbPgzG37mj9g="), std::string("ann:$apr1$salt$hash"),
        "ann:$2x$10$" + tail, "ann:$2y$31$" + tail, "ann:$2y$03$" + tail,
        std::string("ann:$2y$10$short")}) {
    auto users = parse_htpasswd("# first\n" + line + "\n");
    ASSERT_FALSE(users) << line;
    EXPECT_TRUE(users.error().message().contains("line 2")) << users.error().message();
  }
}

TEST(Basic, IsDecodedStrictly) {
  auto credential = parse_basic("basic dXNlcjpwYTpzcw==");
  ASSERT_TRUE(credential);
  EXPECT_EQ(credential->user, "user");
  EXPECT_EQ(credential->password, "pa:ss");
  for (const std::string& header :
       {std::string(""), std::string("Basic"), std::string("Basic "), std::string("Basic !!!!"),
        std::string("Bearer dXNlcjpwYTpzcw=="), std::string("Basic dXNlcg=="),
        std::string("Basic OnB3"), std::string("Basic dXNlcgA6cA=="),
        std::string("Basic dXNlcjpwYTpzc"), "Basic " + std::string(8000, 'A')})
    EXPECT_FALSE(parse_basic(header)) << header.substr(0, 40);
}

TEST_F(AuthenticatorTest, KnowsACredentialOnlyAfterItWasChecked) {
  auto users = opened();
  EXPECT_EQ(users->known(nullptr), false);
  EXPECT_EQ(users->known(&kGood), std::nullopt);
  EXPECT_FALSE(users->check(kWrong));
  EXPECT_EQ(users->known(&kWrong), std::nullopt);
  EXPECT_TRUE(users->check(kGood));
  EXPECT_EQ(users->known(&kGood), true);
}

TEST_F(AuthenticatorTest, RefusesUnknownUsers) {
  auto users = opened();
  EXPECT_FALSE(users->check("Basic b3RoZXI6c2VjcmV0"));  // other:secret
}

TEST_F(AuthenticatorTest, FollowsAChangeOfTheFile) {
  auto users = opened();
  ASSERT_TRUE(users->check(kGood));
  write("user:" + bcrypt("changed") + "\n");
  EXPECT_EQ(users->known(&kGood), std::nullopt);
  EXPECT_FALSE(users->check(kGood));
}

TEST_F(AuthenticatorTest, LetsNobodyInWhenTheFileIsGoneOrBroken) {
  auto users = opened();
  ASSERT_TRUE(users->check(kGood));
  write("nonsense\n");
  EXPECT_EQ(users->known(&kGood), std::nullopt);
  EXPECT_FALSE(users->check(kGood));
  std::filesystem::remove(folder_ / "users");
  EXPECT_EQ(users->known(&kGood), std::nullopt);
  EXPECT_FALSE(users->check(kGood));
}

}  // namespace
}  // namespace wherry::registry
