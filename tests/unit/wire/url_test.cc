#include "wire/url.h"

#include <gtest/gtest.h>

namespace wherry::wire {
namespace {

Url base() {
  return *parse_url("https://registry.example:5000/v2/a/blobs/uploads/");
}

TEST(Url, AnOriginAlwaysHasItsPort) {
  EXPECT_EQ(parse_url("https://Registry.Example/v2/")->origin, "https://registry.example:443");
  EXPECT_EQ(parse_url("http://127.0.0.1:5000")->origin, "http://127.0.0.1:5000");
}

TEST(Url, LocationsAreAbsoluteOrRelative) {
  EXPECT_EQ(resolve_url(base(), "/v2/a/blobs/uploads/1?s=x%2Fy")->text,
            "https://registry.example:5000/v2/a/blobs/uploads/1?s=x%2Fy");
  EXPECT_EQ(resolve_url(base(), "1")->text, "https://registry.example:5000/v2/a/blobs/uploads/1");
  EXPECT_EQ(resolve_url(base(), "https://store.example/x")->origin, "https://store.example:443");
  EXPECT_EQ(resolve_url(base(), "//store.example/x")->origin, "https://store.example:443");
}

TEST(Url, HostileOnesAreRefused) {
  for (std::string text : {std::string(), std::string("file:///etc/passwd"),
                           std::string("ftp://a/"), std::string("http://user:secret@host/"),
                           std::string("http://a b/"), std::string("http://host/\r\nX: y"),
                           std::string("https://"), "https://host/" + std::string(9000, 'a')}) {
    EXPECT_FALSE(parse_url(text)) << text.substr(0, 40);
  }
  EXPECT_FALSE(resolve_url(base(), "gopher://x/"));
  EXPECT_FALSE(resolve_url(base(), ""));
}

TEST(Url, ParametersAreEscaped) {
  EXPECT_EQ(with_parameter("http://h/t", "scope", "repository:a/b:pull,push"),
            "http://h/t?scope=repository:a/b:pull,push");
  EXPECT_EQ(with_parameter("http://h/t?x=1", "account", "a b&c=d"),
            "http://h/t?x=1&account=a%20b%26c%3Dd");
}

TEST(Url, PlacesAreToldApart) {
  for (const char* host :
       {"localhost", "LOCALHOST.", "a.localhost", "127.0.0.1", "127.9.9.9", "0.0.0.0",
        "169.254.169.254", "[::1]", "::1", "[::ffff:127.0.0.1]", "fe80::1%eth0"})
    EXPECT_EQ(place_of(parse_url("http://" + std::string(host))
                           ? parse_url("http://" + std::string(host))->host
                           : host),
              Place::kOurselves)
        << host;
  for (const char* host : {"10.1.2.3", "172.16.0.1", "172.31.255.255", "192.168.1.1", "100.64.0.1",
                           "fd00::1", "[::ffff:10.0.0.1]"})
    EXPECT_EQ(place_of(host), Place::kPrivate) << host;
  for (const char* host : {"1.1.1.1", "172.32.0.1", "registry.example", "2606:4700::1", ""})
    EXPECT_EQ(place_of(host), Place::kPublic) << host;
}

TEST(Url, NumbersThatAreAddressesInDisguiseAreSeenThrough) {
  for (const char* host : {"2130706433", "0x7f.1", "127.1", "0177.0.0.1"}) {
    Result<Url> url = parse_url("http://" + std::string(host) + "/token");
    ASSERT_TRUE(url) << host;
    EXPECT_EQ(place_of(url->host), Place::kOurselves) << host << " is " << url->host;
  }
}

}  // namespace
}  // namespace wherry::wire
