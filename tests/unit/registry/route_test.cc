#include "registry/route.h"

#include <gtest/gtest.h>

namespace wherry::registry {
namespace {

const std::string kHex(64, 'a');
const std::string kDigest = "sha256:" + kHex;

Route good(const std::string& target) {
  auto parsed = parse_route(target);
  EXPECT_TRUE(std::holds_alternative<Route>(parsed)) << target;
  return std::holds_alternative<Route>(parsed) ? std::get<Route>(parsed) : Route{};
}

RouteFault bad(const std::string& target) {
  auto parsed = parse_route(target);
  EXPECT_TRUE(std::holds_alternative<RouteFault>(parsed)) << target;
  return std::holds_alternative<RouteFault>(parsed) ? std::get<RouteFault>(parsed)
                                                    : RouteFault::kUnknownPath;
}

TEST(Route, KnowsEachPathOfTheSpecification) {
  EXPECT_EQ(good("/v2/").kind, Route::Kind::kBase);
  EXPECT_EQ(good("/v2").kind, Route::Kind::kBase);
  EXPECT_EQ(good("/v2/_catalog?n=5").kind, Route::Kind::kCatalog);
  EXPECT_EQ(good("/v2/a/blobs/" + kDigest).kind, Route::Kind::kBlob);
  EXPECT_EQ(good("/v2/a/blobs/uploads/").kind, Route::Kind::kUploads);
  EXPECT_EQ(good("/v2/a/blobs/uploads").kind, Route::Kind::kUploads);
  EXPECT_EQ(good("/v2/a/blobs/uploads/" + std::string(32, '0')).kind, Route::Kind::kUpload);
  EXPECT_EQ(good("/v2/a/manifests/latest").kind, Route::Kind::kManifest);
  EXPECT_EQ(good("/v2/a/tags/list").kind, Route::Kind::kTags);
  EXPECT_EQ(good("/v2/a/referrers/" + kDigest).kind, Route::Kind::kReferrers);
}

TEST(Route, TakesTheNameFromBeforeTheLastParts) {
  EXPECT_EQ(good("/v2/a/b/c/manifests/1.0").name, "a/b/c");
  EXPECT_EQ(good("/v2/blobs/uploads/tags/list").name, "blobs/uploads");
  EXPECT_EQ(good("/v2/manifests/manifests/manifests").name, "manifests");
}

TEST(Route, TellsTagsFromDigests) {
  EXPECT_EQ(std::get<std::string>(good("/v2/a/manifests/v1.0_x-y").reference), "v1.0_x-y");
  EXPECT_EQ(std::get<ContentDigest>(good("/v2/a/manifests/sha256%3A" + kHex).reference).str(),
            kDigest);
  std::string sha512 = "sha512:" + std::string(128, '0');
  EXPECT_EQ(good("/v2/a/blobs/" + sha512).digest->str(), sha512);
}

TEST(Route, DecodesTheQueryAndKeepsTheFirstOfAKey) {
  Route route = good("/v2/a/blobs/uploads/?mount=" + kDigest + "&from=b%2Fc&from=d&empty");
  EXPECT_EQ(*route.parameter("mount"), kDigest);
  EXPECT_EQ(*route.parameter("from"), "b/c");
  EXPECT_EQ(*route.parameter("empty"), "");
  EXPECT_EQ(route.parameter("digest"), nullptr);
}

TEST(Route, RefusesNamesThatCouldLeaveTheStore) {
  for (const char* name :
       {"..",         "../x", "a/../b", "a/./b",    "a//b",  ".",    "%2e%2e",  "..%2f..%2fetc",
        "a%2f..%2fb", "A",    "a_",     "_a",       "a___b", "a..b", "a._b",    "-a",
        "a-",         "a b",  "a%00b",  "\xc3\xa4", "a\\b",  "a:b",  "_blobs/x"})
    EXPECT_TRUE(std::holds_alternative<RouteFault>(
        parse_route("/v2/" + std::string(name) + "/manifests/latest")))
        << name;
  EXPECT_EQ(bad("/v2/" + std::string(256, 'a') + "/tags/list"), RouteFault::kBadName);
  EXPECT_EQ(good("/v2/" + std::string(255, 'a') + "/tags/list").name.size(), 255u);
}

TEST(Route, RefusesTagsDigestsAndUploadsOfAnotherForm) {
  EXPECT_EQ(bad("/v2/a/manifests/.x"), RouteFault::kBadReference);
  EXPECT_EQ(bad("/v2/a/manifests/-x"), RouteFault::kBadReference);
  EXPECT_EQ(bad("/v2/a/manifests/.."), RouteFault::kBadReference);
  EXPECT_EQ(bad("/v2/a/manifests/" + std::string(129, 'x')), RouteFault::kBadReference);
  EXPECT_EQ(bad("/v2/a/manifests/"), RouteFault::kBadReference);
  for (const std::string& digest :
       {std::string("sha256:..%2f..%2fx"), "md5:" + kHex, "sha256:" + std::string(63, 'a'),
        "sha256:" + std::string(64, 'A'), "sha512:" + kHex, std::string("sha256:"),
        kDigest + "a"}) {
    EXPECT_EQ(bad("/v2/a/blobs/" + digest), RouteFault::kBadDigest) << digest;
    EXPECT_EQ(bad("/v2/a/manifests/" + digest), RouteFault::kBadDigest) << digest;
  }
  EXPECT_EQ(bad("/v2/a/blobs/uploads/.."), RouteFault::kBadUpload);
  EXPECT_EQ(bad("/v2/a/blobs/uploads/" + std::string(31, 'a')), RouteFault::kBadUpload);
}

TEST(Route, RefusesOtherPathsAndBrokenEscapes) {
  for (const char* target : {"", "/", "/v1/", "/v2x", "*", "/v2/a", "/v2/a/b", "/v2/a/b/c",
                             "/v2/a/tags", "/v2/a/tags/other", "http://host/v2/"})
    EXPECT_EQ(bad(target), RouteFault::kUnknownPath) << target;
  EXPECT_EQ(bad("/v2/a%/tags/list"), RouteFault::kBadEncoding);
  EXPECT_EQ(bad("/v2/a%zz/tags/list"), RouteFault::kBadEncoding);
  EXPECT_EQ(bad("/v2/?a=%4"), RouteFault::kBadEncoding);
  std::string many = "/v2/?";
  for (int i = 0; i < 40; ++i) many += "k" + std::to_string(i) + "=1&";
  EXPECT_EQ(bad(many), RouteFault::kBadEncoding);
}

}  // namespace
}  // namespace wherry::registry
