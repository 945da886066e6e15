#include "oci/reference.h"

#include <gtest/gtest.h>

namespace wherry::oci {
namespace {

const std::string kHex = std::string(64, 'a');

struct Valid {
  std::string text, repository, tag, familiar;
};

TEST(ImageRef, FillsInDockerHubAndLatest) {
  const Valid table[] = {
      {"debian", "docker.io/library/debian", "latest", "debian:latest"},
      {"debian:bookworm", "docker.io/library/debian", "bookworm", "debian:bookworm"},
      {"library/debian", "docker.io/library/debian", "latest", "debian:latest"},
      {"docker.io/debian", "docker.io/library/debian", "latest", "debian:latest"},
      {"index.docker.io/library/debian:1", "docker.io/library/debian", "1", "debian:1"},
      {"team/app", "docker.io/team/app", "latest", "team/app:latest"},
      {"library/a/b", "docker.io/library/a/b", "latest", "library/a/b:latest"},
      {"localhost/app", "localhost/app", "latest", "localhost/app:latest"},
      {"localhost:5000/team/app:v1.2", "localhost:5000/team/app", "v1.2",
       "localhost:5000/team/app:v1.2"},
      {"ghcr.io/a/b/c:x", "ghcr.io/a/b/c", "x", "ghcr.io/a/b/c:x"},
      {"[::1]:5000/a", "[::1]:5000/a", "latest", "[::1]:5000/a:latest"},
      {"Host/app", "Host/app", "latest", "Host/app:latest"},
      {"a__b/c-d---e.f_g", "docker.io/a__b/c-d---e.f_g", "latest", "a__b/c-d---e.f_g:latest"},
      {"x:" + std::string(128, 't'), "docker.io/library/x", std::string(128, 't'),
       "x:" + std::string(128, 't')},
      {"x:_A.b-c", "docker.io/library/x", "_A.b-c", "x:_A.b-c"},
      {"abcdef", "docker.io/library/abcdef", "latest", "abcdef:latest"},
  };
  for (const Valid& row : table) {
    Result<ImageRef> ref = ImageRef::parse(row.text);
    ASSERT_TRUE(ref) << row.text << ": " << ref.error().message();
    EXPECT_EQ(ref->repository(), row.repository);
    EXPECT_EQ(ref->tag().value_or("none"), row.tag);
    EXPECT_EQ(ref->familiar(), row.familiar);
    Result<ImageRef> again = ImageRef::parse(ref->familiar());
    ASSERT_TRUE(again);
    EXPECT_EQ(again->repository(), row.repository);
  }
}

TEST(ImageRef, ADigestReplacesTheDefaultTag) {
  Result<ImageRef> ref = ImageRef::parse("debian@sha256:" + kHex);
  ASSERT_TRUE(ref);
  EXPECT_FALSE(ref->tag());
  EXPECT_EQ(ref->digest()->hex(), kHex);
  EXPECT_EQ(ref->familiar(), "debian@sha256:" + kHex);
  ref = ImageRef::parse("host:1/a:tag@sha256:" + kHex);
  ASSERT_TRUE(ref);
  EXPECT_EQ(ref->tag().value(), "tag");
  EXPECT_EQ(ref->familiar(), "host:1/a:tag@sha256:" + kHex);
}

TEST(ImageRef, RefusesWhatDockerRefuses) {
  const std::string table[] = {"",
                               ":",
                               ":tag",
                               "@sha256:" + kHex,
                               "a:",
                               "a:-b",
                               "a:.b",
                               "a: b",
                               "a:b c",
                               "a b",
                               " a",
                               "a ",
                               "a:" + std::string(129, 't'),
                               "UPPER",
                               "a/UPPER",
                               "a//b",
                               "/a",
                               "a/",
                               "a/./b",
                               "a/../b",
                               "..",
                               "../../etc/passwd",
                               "-a",
                               "a-",
                               "a..b",
                               "a___b",
                               "a._b",
                               "a\nb",
                               std::string("a\0b", 3),
                               "\xff",
                               "a@",
                               "a@sha256",
                               "a@sha256:",
                               "a@sha256:abc",
                               "a@sha256:../../etc/passwd",
                               "a@sha256:" + std::string(64, 'A'),
                               "a@md5:" + std::string(32, 'a'),
                               kHex,
                               "a@sha256:" + kHex + "@sha256:" + kHex,
                               "host:99999/a",
                               "host:x/a",
                               "ho_st.x/a",
                               "-h.x/a",
                               "h..x/a",
                               "[::1/a",
                               "[zz]:1/a",
                               "http://a/b",
                               "a:b:c",
                               std::string(256, 'a'),
                               std::string(100'000, 'a'),
                               "localhost:5000/",
                               "a/:b",
                               "\x1b[2J"};
  for (const std::string& text : table) {
    Result<ImageRef> ref = ImageRef::parse(text);
    ASSERT_FALSE(ref) << text.substr(0, 80);
    EXPECT_EQ(ref.error().kind(), ErrorKind::kInvalidArgument);
    EXPECT_LT(ref.error().message().size(), 400u);
    EXPECT_EQ(ref.error().message().find('\x1b'), std::string::npos);
  }
}

TEST(ImageRef, ATeamThatLooksLikeARegistryKeepsTheDomain) {
  for (const char* text : {"docker.io/localhost/x:v", "docker.io/a.b/c:v"}) {
    Result<ImageRef> ref = ImageRef::parse(text);
    ASSERT_TRUE(ref) << text;
    EXPECT_EQ(ref->familiar(), text);
    EXPECT_EQ(ImageRef::parse(ref->familiar())->repository(), ref->repository());
  }
}

TEST(ImageRef, NamesMayHave255BytesWithTheirDomain) {
  std::string fits(255 - std::string("docker.io/library/").size(), 'a');
  EXPECT_TRUE(ImageRef::parse(fits));
  EXPECT_FALSE(ImageRef::parse(fits + "a"));
}

}  // namespace
}  // namespace wherry::oci
