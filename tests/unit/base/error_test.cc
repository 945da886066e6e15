#include <gtest/gtest.h>

#include <cerrno>

#include "base/digest.h"
#include "base/names.h"
#include "base/result.h"
#include "base/scope.h"

namespace wherry {
namespace {

Result<int> mount_data() {
  return Error::from_errno(ENOENT, "cannot mount '/data'");
}

Result<int> start() {
  TRY_CTX(int value, mount_data(), "cannot start 'web'");
  return value;
}

TEST(Error, ReadsOutermostActionFirst) {
  Result<int> started = start();
  ASSERT_FALSE(started);
  EXPECT_EQ(started.error().message(),
            "cannot start 'web': cannot mount '/data': no such file or directory");
  EXPECT_EQ(started.error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(started.error().errnum(), ENOENT);
}

TEST(Error, KeepsTheHintWhenWrapped) {
  Error error = Error(ErrorKind::kConflict, "busy").set_hint("wait").wrap("cannot go");
  EXPECT_EQ(error.hint(), "wait");
  EXPECT_EQ(error.message(), "cannot go: busy");
}

TEST(ErrorKind, NamesGoThereAndBack) {
  for (int i = 0; i <= static_cast<int>(ErrorKind::kInternal); ++i) {
    auto kind = static_cast<ErrorKind>(i);
    EXPECT_EQ(kind_from_name(kind_name(kind)), kind);
  }
  EXPECT_EQ(kind_from_name("nonsense"), ErrorKind::kInternal);
}

TEST(ScopeGuard, RunsOnceUnlessReleased) {
  int runs = 0;
  {
    auto guard = on_exit([&] { ++runs; });
    auto moved = std::move(guard);
  }
  EXPECT_EQ(runs, 1);
  {
    auto guard = on_exit([&] { ++runs; });
    guard.release();
  }
  EXPECT_EQ(runs, 1);
}

TEST(Digest, TakesOnlySha256InLowerCaseHex) {
  std::string hex(64, 'a');
  ASSERT_TRUE(Digest::parse("sha256:" + hex));
  EXPECT_EQ(Digest::parse("sha256:" + hex)->str(), "sha256:" + hex);
  for (const std::string& bad :
       {std::string(""), hex, "sha256:" + std::string(63, 'a'), "sha256:" + std::string(64, 'A'),
        "sha512:" + std::string(128, 'a'), std::string("sha256:../../etc/passwd")})
    EXPECT_FALSE(Digest::parse(bad)) << bad;
}

TEST(ContainerName, FollowsDockersRule) {
  for (const char* good : {"web", "a1", "A_b.c-d", "0x"})
    EXPECT_TRUE(check_container_name(good)) << good;
  for (const std::string& bad :
       {std::string("a"), std::string(""), std::string("-a"), std::string("a/b"),
        std::string("a b"), std::string("a\nb"), std::string("caf\xc3\xa9"), std::string(300, 'a')})
    EXPECT_FALSE(check_container_name(bad)) << bad;
}

TEST(ContainerName, RandomOnesAreValidAndDiffer) {
  EXPECT_TRUE(check_container_name(random_container_name(0)));
  EXPECT_TRUE(check_container_name(random_container_name(7)));
  EXPECT_NE(random_id(), random_id());
  EXPECT_EQ(random_id().size(), 64u);
}

}  // namespace
}  // namespace wherry
