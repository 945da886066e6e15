#include "engine/bootstrap.h"

#include <gtest/gtest.h>

#include "engine/apt_sources.h"

namespace wherry::engine {
namespace {

using Words = std::vector<std::string>;

constexpr const char* kDeb822 =
    "# a comment\n"
    "Types: deb deb-src\n"
    "URIs: http://mirror.example/debian\n"
    "Suites: bookworm\n"
    " bookworm-updates\n"
    "Components: main contrib\n"
    "Signed-By: /usr/share/keyrings/debian.gpg\n"
    "\n"
    "Types: deb\n"
    "URIs: http://mirror.example/security\n"
    "Suites: bookworm-security\n"
    "Components: main\n"
    "Signed-By:\n"
    " -----BEGIN PGP PUBLIC KEY BLOCK-----\n"
    " .\n"
    " abc\n"
    "\n"
    "Types: deb\n"
    "Enabled: no\n"
    "URIs: http://other.example\n"
    "Suites: bookworm\n"
    "Components: main\n";

TEST(AptSources, Deb822StanzasBecomeOneLineEntries) {
  auto sources = parse_apt_sources(kDeb822, true);
  ASSERT_EQ(sources.size(), 3u);
  EXPECT_EQ(one_line(sources[0]),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian bookworm "
            "main contrib");
  EXPECT_EQ(sources[1].suite, "bookworm-updates");
  EXPECT_EQ(one_line(sources[2]), "deb http://mirror.example/security bookworm-security main");
}

TEST(AptSources, OneLineEntriesKeepTheirOptions) {
  auto sources = parse_apt_sources(
      "deb [ signed-by=/k.gpg trusted=yes ] http://m/debian sid main  # why\n"
      "#deb http://m/debian sid contrib\ndeb-src http://m/debian sid main\ndeb broken\n",
      false);
  ASSERT_EQ(sources.size(), 1u);
  EXPECT_EQ(one_line(sources[0]), "deb [signed-by=/k.gpg trusted=yes] http://m/debian sid main");
}

TEST(AptSources, HostileFilesGiveNothing) {
  for (const char* text :
       {"", "deb", "deb [", "deb [x", "deb ] a", "Types deb", ": :", "\n\n\n", " continuation"}) {
    EXPECT_TRUE(parse_apt_sources(text, false).empty()) << text;
    EXPECT_TRUE(parse_apt_sources(text, true).empty()) << text;
  }
}

TEST(AptSources, ASuiteComesWithItsUpdatesAndSecurity) {
  auto sources = parse_apt_sources(kDeb822, true);
  EXPECT_EQ(sources_of_suite(sources, "bookworm").size(), 3u);
  EXPECT_TRUE(sources_of_suite(sources, "book").empty());
}

TEST(Bootstrap, DistributionsNameTheirSuite) {
  EXPECT_EQ(*bootstrap_suite("debian:bookworm"), "bookworm");
  EXPECT_EQ(*bootstrap_suite("debian:12"), "bookworm");
  EXPECT_EQ(*bootstrap_suite("debian:sid"), "sid");
  for (const char* bad :
       {"debian", "debian:", "ubuntu:jammy", "debian:-x", "debian:a b", "debian:a/b", ""})
    EXPECT_FALSE(bootstrap_suite(bad)) << bad;
}

TEST(Bootstrap, TheHostsSourcesAreUsedWithoutAMirror) {
  BootstrapRequest request;
  request.include = {"curl", "ca-certificates"};
  auto arguments = mmdebstrap_arguments(request, "bookworm", parse_apt_sources(kDeb822, true));
  ASSERT_TRUE(arguments);
  ASSERT_EQ(arguments->size(), 9u);
  EXPECT_EQ(Words(arguments->begin(), arguments->begin() + 6),
            (Words{"mmdebstrap", "--format=tar", "--variant=minbase",
                   "--include=curl,ca-certificates", "bookworm", "-"}));
  EXPECT_TRUE(arguments->at(6).starts_with("deb [signed-by="));
}

TEST(Bootstrap, AnotherSuiteComesFromTheHostsMirror) {
  auto arguments = mmdebstrap_arguments({}, "sid", parse_apt_sources(kDeb822, true));
  ASSERT_TRUE(arguments);
  EXPECT_EQ(arguments->back(),
            "deb [signed-by=/usr/share/keyrings/debian.gpg] http://mirror.example/debian sid main "
            "contrib");
}

TEST(Bootstrap, AGivenMirrorWins) {
  BootstrapRequest request;
  request.mirror = "http://my/debian";
  auto arguments = mmdebstrap_arguments(request, "sid", parse_apt_sources(kDeb822, true));
  ASSERT_TRUE(arguments);
  EXPECT_EQ(arguments->back(), "http://my/debian");
  EXPECT_EQ(arguments->size(), 6u);
}

TEST(Bootstrap, WordsThatWouldBecomeOptionsAreRefused) {
  BootstrapRequest variant;
  variant.variant = "huge";
  EXPECT_FALSE(mmdebstrap_arguments(variant, "sid", {}));
  BootstrapRequest include;
  include.include = {"a,--hook=x"};
  EXPECT_FALSE(mmdebstrap_arguments(include, "sid", {}));
  BootstrapRequest mirror;
  mirror.mirror = "--setup-hook=x";
  EXPECT_FALSE(mmdebstrap_arguments(mirror, "sid", {}));
}

}  // namespace
}  // namespace wherry::engine
