#include "transfer/auth_file.h"

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>

#include "transfer/base64.h"
#include "transfer/credential_store.h"

namespace wherry::transfer {
namespace {

// As every program of ours does: a helper may end before it has read what it is told.
[[maybe_unused]] const auto kIgnored = signal(SIGPIPE, SIG_IGN);

AuthFile parsed(std::string_view text) {
  auto file = AuthFile::parse(text, "/c.json");
  EXPECT_TRUE(file) << file.error().message();
  return std::move(*file);
}

std::string error_of(std::string_view text) {
  auto file = AuthFile::parse(text, "/c.json");
  return file ? "no error" : file.error().message();
}

Credentials found(const AuthFile& file, std::string_view domain) {
  auto credentials = file.find(domain);
  EXPECT_TRUE(credentials) << credentials.error().message();
  EXPECT_TRUE(credentials->has_value());
  return credentials->value_or(Credentials());
}

class Folder {
 public:
  Folder() {
    char name[] = "/tmp/wherry-auth-XXXXXX";
    path_ = mkdtemp(name);
  }
  ~Folder() { std::filesystem::remove_all(path_); }
  std::string operator/(const std::string& name) const { return path_ + "/" + name; }

 private:
  std::string path_;
};

std::string content(const std::string& path) {
  std::ifstream in(path);
  return {std::istreambuf_iterator<char>(in), {}};
}

void write(const std::string& path, std::string_view text, mode_t mode = 0600) {
  std::ofstream(path) << text;
  chmod(path.c_str(), mode);
}

TEST(Base64, GoesBothWaysForEveryLength) {
  std::string bytes;
  for (int i = 0; i < 70; ++i) {
    EXPECT_EQ(base64_decode(base64_encode(bytes)), bytes);
    bytes += static_cast<char>(i * 37);
  }
  EXPECT_EQ(base64_encode("user:secret"), "dXNlcjpzZWNyZXQ=");
}

TEST(Base64, RefusesWhatIsNot) {
  for (const char* bad : {"a", "ab=", "a===", "====", "ab=c", "ab c", "ab\nc", "YQ==YQ=="})
    EXPECT_FALSE(base64_decode(bad)) << bad;
  EXPECT_EQ(base64_decode(""), "");
}

TEST(AuthFile, FindsUserAndPasswordOfARegistry) {
  AuthFile file = parsed(R"({"auths": {"host:5000": {"auth": "dXNlcjpzZTpjcmV0"}}})");
  EXPECT_EQ(found(file, "host:5000").username, "user");
  EXPECT_EQ(found(file, "host:5000").password, "se:cret");
  EXPECT_FALSE(file.find("host:5001")->has_value());
  EXPECT_FALSE(file.find("docker.io")->has_value());
}

TEST(AuthFile, FindsDockerHubUnderItsOldKeyAndOthersBehindASchemeAndPath) {
  AuthFile file = parsed(R"({"auths": {
    "https://index.docker.io/v1/": {"auth": "aHViOng="},
    "https://index.docker.io/v1/access-token": {"auth": "b3RoZXI6eA=="},
    "https://host.example/v2/": {"auth": "dXNlcjp4"}}})");
  EXPECT_EQ(found(file, "docker.io").username, "hub");
  EXPECT_EQ(found(file, "host.example").username, "user");
}

TEST(AuthFile, TakesIdentityTokensAndPlainFields) {
  AuthFile file = parsed(R"({"auths": {"a.example": {"auth": "dDo=", "identitytoken": "T"},
    "b.example": {"username": "u", "password": "p"}}})");
  EXPECT_EQ(found(file, "a.example").identity_token, "T");
  EXPECT_EQ(found(file, "b.example").password, "p");
}

TEST(AuthFile, AnEmptyEntryIsNoCredentials) {
  AuthFile file = parsed(R"({"auths": {"a.example": {}}, "credsStore": "vault"})");
  EXPECT_FALSE(file.find("a.example")->has_value());
  EXPECT_EQ(file.helper_for("a.example"), "vault");
}

TEST(AuthFile, AHelperOfARegistryGoesBeforeTheOneForAll) {
  AuthFile file = parsed(R"({"credsStore": "all", "credHelpers": {"a.example": "one"}})");
  EXPECT_EQ(file.helper_for("a.example"), "one");
  EXPECT_EQ(file.helper_for("docker.io"), "all");
  EXPECT_FALSE(parsed("{}").helper_for("a.example"));
}

TEST(AuthFile, ADamagedFileIsNamedWithThePlace) {
  EXPECT_EQ(error_of(R"({"auths": {)"), "'/c.json' is damaged: it is not JSON at byte 12");
  EXPECT_EQ(error_of("{}x"), "'/c.json' is damaged: it is not JSON at byte 3");
  for (const char* bad :
       {"[]", "3", "\xff", R"({"auths": []})", R"({"auths": {"a": 1}})", R"({"credsStore": 1})",
        R"({"credHelpers": ["a"]})", R"({"credHelpers": {"a": null}})"})
    EXPECT_NE(error_of(bad).find("'/c.json' is damaged"), std::string::npos) << bad;
  EXPECT_NE(error_of(std::string(100, '[')).find("nested deeper"), std::string::npos);
  EXPECT_EQ(error_of(" \n"), "no error");
}

TEST(AuthFile, AnEntryThatCannotBeReadIsAnErrorForItsRegistryOnly) {
  AuthFile file = parsed(R"({"auths": {"a.example": {"auth": "%%%"},
    "b.example": {"auth": "bm9jb2xvbg=="}, "c.example": {"auth": "dXNlcjp4"}}})");
  EXPECT_FALSE(file.find("a.example"));
  EXPECT_FALSE(file.find("b.example"));
  EXPECT_EQ(found(file, "c.example").username, "user");
}

TEST(AuthFile, KeepsWhatItDoesNotKnow) {
  AuthFile file = parsed(R"({"HttpHeaders": {"X": "1"}, "psFormat": "t", "auths": {"a": {}}})");
  file.put("host:5000", {"user", "secret", {}});
  file.put("docker.io", {"user", "", "token"});
  AuthFile again = parsed(file.text());
  EXPECT_EQ(found(again, "host:5000").password, "secret");
  EXPECT_EQ(found(again, "docker.io").identity_token, "token");
  EXPECT_NE(file.text().find("\"psFormat\": \"t\""), std::string::npos);
  EXPECT_LT(file.text().find("HttpHeaders"), file.text().find("psFormat"));
  EXPECT_NE(file.text().find("\"https://index.docker.io/v1/\""), std::string::npos);
}

TEST(AuthFile, ErasesEverySpelling) {
  AuthFile file =
      parsed(R"({"auths": {"a.example": {"auth": "dTp4"}, "https://a.example/v1/": {}}})");
  EXPECT_TRUE(file.erase("a.example"));
  EXPECT_FALSE(file.erase("a.example"));
  EXPECT_EQ(file.text().find("a.example"), std::string::npos);
}

TEST(AuthFile, ServersAreDomains) {
  for (const char* hub : {"", "docker.io", "https://index.docker.io/v1/", "index.docker.io"})
    EXPECT_EQ(domain_of_server(hub), "docker.io") << hub;
  EXPECT_EQ(domain_of_server("https://Host.Example:5000/v2/"), "host.example:5000");
  EXPECT_EQ(auth_key("docker.io"), "https://index.docker.io/v1/");
  EXPECT_EQ(auth_key("host:5000"), "host:5000");
}

TEST(CredentialStore, WritesAFileThatOnlyItsOwnerReads) {
  Folder folder;
  std::string path = folder / ".docker/config.json";
  CredentialStore store(path, "");
  EXPECT_FALSE(store.get("a.example")->has_value());
  auto kept = store.put("a.example", {"user", "secret", {}});
  ASSERT_TRUE(kept) << kept.error().message();
  EXPECT_EQ(kept->file, path);
  struct stat status{};
  ASSERT_EQ(stat(path.c_str(), &status), 0);
  EXPECT_EQ(status.st_mode & 0777U, 0600U);
  EXPECT_EQ(store.get("a.example")->value().password, "secret");
  EXPECT_TRUE(*store.erase("a.example"));
  EXPECT_FALSE(*store.erase("a.example"));
}

TEST(CredentialStore, NeverWritesOverADamagedFile) {
  Folder folder;
  std::string path = folder / "config.json";
  write(path, R"({"auths": )");
  CredentialStore store(path, "");
  EXPECT_FALSE(store.put("a.example", {"user", "secret", {}}));
  EXPECT_FALSE(store.erase("a.example"));
  EXPECT_FALSE(store.get("a.example"));
  EXPECT_EQ(content(path), R"({"auths": )");
}

TEST(CredentialStore, WritesThroughASymbolicLink) {
  Folder folder;
  write(folder / "real.json", "{}");
  ASSERT_EQ(symlink("real.json", (folder / "config.json").c_str()), 0);
  CredentialStore store(folder / "config.json", "");
  ASSERT_TRUE(store.put("a.example", {"user", "secret", {}}));
  EXPECT_TRUE(std::filesystem::is_symlink(folder / "config.json"));
  EXPECT_NE(content(folder / "real.json").find("a.example"), std::string::npos);
}

constexpr const char* kHelper = R"(#!/bin/sh
dir=$(dirname "$0")
case $1 in
  get) key=$(cat); if [ -f "$dir/kept" ]; then cat "$dir/kept"; else
       echo "credentials not found in native keychain"; exit 1; fi;;
  store) cat > "$dir/kept";;
  erase) rm "$dir/kept";;
esac
)";

TEST(CredentialStore, LeavesPasswordsToTheHelperThatTheFileNames) {
  Folder folder;
  write(folder / "docker-credential-vault", kHelper, 0755);
  write(folder / "config.json", R"({"credsStore": "vault"})");
  CredentialStore store(folder / "config.json", "/nowhere:" + (folder / ""));
  EXPECT_FALSE(store.get("a.example")->has_value());
  auto kept = store.put("a.example", {"user", "secret", {}});
  ASSERT_TRUE(kept) << kept.error().message();
  EXPECT_EQ(kept->helper, "docker-credential-vault");
  EXPECT_EQ(content(folder / "config.json"), R"({"credsStore": "vault"})");
  EXPECT_EQ(store.get("a.example")->value().password, "secret");
  EXPECT_TRUE(*store.erase("a.example"));
  EXPECT_FALSE(*store.erase("a.example"));
}

TEST(CredentialStore, KeepsIdentityTokensWithAHelperToo) {
  Folder folder;
  write(folder / "docker-credential-vault", kHelper, 0755);
  write(folder / "config.json", R"({"credHelpers": {"a.example": "vault"}})");
  CredentialStore store(folder / "config.json", folder / "");
  ASSERT_TRUE(store.put("a.example", {"user", "", "token"}));
  EXPECT_EQ(store.get("a.example")->value().identity_token, "token");
}

}  // namespace
}  // namespace wherry::transfer
