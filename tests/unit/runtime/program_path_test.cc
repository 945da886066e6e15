#include "runtime/program_path.h"

#include <gtest/gtest.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cerrno>
#include <filesystem>
#include <fstream>

namespace wherry::runtime {
namespace {

namespace fs = std::filesystem;

class ProgramPath : public testing::Test {
 protected:
  void SetUp() override {
    char name[] = "/tmp/wherry-test-XXXXXX";
    ASSERT_NE(mkdtemp(name), nullptr);
    base_ = name;
    fs::create_directories(base_ / "one/tool");
    fs::create_directories(base_ / "two");
    make("one/plain", 0644);
    make("two/tool", 0755);
    make("two/plain", 0755);
  }
  void TearDown() override { fs::remove_all(base_); }

  void make(const std::string& name, mode_t mode) {
    std::ofstream(base_ / name) << "x";
    chmod((base_ / name).c_str(), mode);
  }

  Result<std::string> find(const std::string& name) {
    return find_program(name, {"HOME=/", "PATH=relative::" + (base_ / "one").string() + ":" +
                                             (base_ / "two").string()});
  }

  fs::path base_;
};

TEST_F(ProgramPath, SkipsDirectoriesAndFilesThatCannotBeExecuted) {
  EXPECT_EQ(*find("tool"), base_ / "two/tool");
  EXPECT_EQ(*find("plain"), base_ / "two/plain");
}

TEST_F(ProgramPath, NeverLooksInTheWorkingDirectory) {
  std::string before = fs::current_path();
  fs::current_path(base_ / "two");
  EXPECT_FALSE(find_program("tool", {"PATH=:.:"}));
  EXPECT_EQ(*find_program("./tool", {}), "./tool");
  fs::current_path(before);
}

TEST_F(ProgramPath, TellsWhyInRuncsWords) {
  auto missing = find("no-such");
  ASSERT_FALSE(missing);
  EXPECT_EQ(missing.error().message(), "exec: \"no-such\": executable file not found in $PATH");
  EXPECT_EQ(missing.error().kind(), ErrorKind::kNotFound);
  EXPECT_FALSE(find(""));
  EXPECT_FALSE(find_program("tool", {}));
  std::string plain = base_ / "one/plain";
  auto denied = find(plain);
  ASSERT_FALSE(denied);
  EXPECT_EQ(denied.error().message(), "exec: \"" + plain + "\": permission denied");
  EXPECT_EQ(denied.error().kind(), ErrorKind::kPermissionDenied);
  auto directory = find(base_ / "one");
  ASSERT_FALSE(directory);
  EXPECT_EQ(directory.error().kind(), ErrorKind::kPermissionDenied);
  std::string below = plain + "/x";
  auto not_directory = find(below);
  ASSERT_FALSE(not_directory);
  EXPECT_EQ(not_directory.error().errnum(), ENOTDIR);
}

}  // namespace
}  // namespace wherry::runtime
