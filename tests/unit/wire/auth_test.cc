// Realm hygiene: which token servers may get credentials.
#include "wire/auth.h"

#include <gtest/gtest.h>

namespace wherry::wire {
namespace {

bool allowed(const char* realm, const char* registry, const char* address = "93.184.216.34") {
  return check_realm(*parse_url(realm), *parse_url(registry), address).has_value();
}

TEST(Realm, TheUsualOnesAreAllowed) {
  EXPECT_TRUE(allowed("https://auth.docker.io/token", "https://registry-1.docker.io"));
  EXPECT_TRUE(allowed("https://registry.example/token", "https://registry.example"));
  EXPECT_TRUE(allowed("http://127.0.0.1:5001/token", "http://127.0.0.1:5000", "127.0.0.1"));
  EXPECT_TRUE(allowed("http://10.0.0.2/token", "http://127.0.0.1:5000", "127.0.0.1"));
  EXPECT_TRUE(allowed("https://10.0.0.2/token", "https://intern.example", "10.0.0.1"));
  EXPECT_TRUE(allowed("http://auth.intern/token", "http://registry.intern:5000", "10.0.0.1"));
}

TEST(Realm, AnUnencryptedOneOfAnEncryptedRegistryIsRefused) {
  EXPECT_FALSE(allowed("http://auth.docker.io/token", "https://registry-1.docker.io"));
  EXPECT_FALSE(allowed("http://registry.example/token", "https://registry.example"));
}

TEST(Realm, OneNearerToUsThanTheRegistryIsRefused) {
  for (const char* realm :
       {"https://127.0.0.1/token", "https://localhost:8443/", "https://[::1]/", "https://10.0.0.1/",
        "https://169.254.169.254/latest", "https://192.168.1.1/", "https://2130706433/"})
    EXPECT_FALSE(allowed(realm, "https://registry.example")) << realm;
  EXPECT_FALSE(allowed("https://169.254.169.254/", "https://intern.example", "10.0.0.1"));
}

TEST(Realm, ANameThatTurnsOutToBeHereIsRefused) {
  Url realm = *parse_url("https://innocent.example/token");
  Url registry = *parse_url("https://registry.example");
  Result<void> checked = check_realm_address(realm, "127.0.0.1", registry, "93.184.216.34");
  ASSERT_FALSE(checked);
  EXPECT_NE(checked.error().message().find("innocent.example"), std::string::npos);
  EXPECT_NE(checked.error().message().find("on this machine"), std::string::npos);
  EXPECT_TRUE(check_realm_address(realm, "1.1.1.1", registry, "93.184.216.34"));
}

}  // namespace
}  // namespace wherry::wire
