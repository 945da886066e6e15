// A directory to build from, made and looked at in one line each.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <cstdlib>
#include <filesystem>
#include <fstream>
#include <set>
#include <sstream>

#include "build/copy.h"
#include "scratch_directory.h"
#include "sys/fd.h"

namespace wherry::build {

class TreeFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    std::filesystem::create_directory(base_ + "/context");
    reopen();
  }
  // Not remove_all: it holds a descriptor for each level.
  void TearDown() override { EXPECT_EQ(std::system(("rm -rf " + base_).c_str()), 0); }

  std::string in(const std::string& path) const { return base_ + "/context/" + path; }
  void file(const std::string& path, const std::string& content = "x", mode_t mode = 0644) {
    std::filesystem::create_directories(std::filesystem::path(in(path)).parent_path());
    std::ofstream(in(path), std::ios::binary) << content;
    chmod(in(path).c_str(), mode);
  }
  void directory(const std::string& path, mode_t mode = 0755) {
    std::filesystem::create_directories(in(path));
    chmod(in(path).c_str(), mode);
  }
  void link(const std::string& path, const std::string& target) {
    std::filesystem::create_symlink(target, in(path));
  }
  static std::string content(const std::string& path) {
    std::ifstream stream(path, std::ios::binary);
    std::ostringstream text;
    text << stream.rdbuf();
    return text.str();
  }
  // Both times, to the nanosecond; the ctime is the kernel's.
  static void set_time(const std::string& path, timespec time) {
    timespec times[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
  static struct stat status(const std::string& path) {
    struct stat info{};
    EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
    return info;
  }

  void reopen(PathRules ignore = {}) {
    Result<sys::Fd> root = sys::open_file(base_ + "/context", O_RDONLY | O_DIRECTORY);
    ASSERT_TRUE(root);
    tree_ = std::make_unique<SourceTree>(SourceTree::context(std::move(*root), std::move(ignore)));
  }
  // Rules that exclude exactly these paths and what is below them.
  static PathRules excluding(std::set<std::string> paths, std::set<std::string> but = {}) {
    auto below = [](const std::set<std::string>& roots, const std::string& path) {
      for (const std::string& root : roots)
        if (path == root || path.starts_with(root + "/")) return true;
      return false;
    };
    return {[=](const std::string& path) { return below(paths, path) && !below(but, path); },
            [=](const std::string& directory) {
              for (const std::string& path : but)
                if (path.starts_with(directory + "/")) return true;
              return false;
            }};
  }

  CopySpec spec(const std::vector<std::string>& sources, const std::string& destination = "/to/") {
    CopySpec spec;
    for (const std::string& source : sources) spec.sources.push_back({tree_.get(), source});
    spec.destination = destination;
    return spec;
  }
  Selection selected(const CopySpec& spec, state::Database* database = nullptr) {
    Result<Selection> selection = select(spec, database);
    EXPECT_TRUE(selection) << selection.error().message();
    return selection ? std::move(*selection) : Selection{};
  }
  Selection taken(const std::vector<std::string>& sources) { return selected(spec(sources)); }
  Error refused(const CopySpec& spec) {
    Result<Selection> selection = select(spec, nullptr);
    EXPECT_FALSE(selection);
    return selection ? Error(ErrorKind::kInternal, "") : selection.error();
  }
  // "name" of each file source and "path" of each entry below a directory, in order.
  static std::vector<std::string> names(const Selection& selection) {
    std::vector<std::string> all;
    for (const SelectedSource& source : selection.sources)
      for (const Entry& entry : source.entries)
        all.push_back(source.directory ? entry.path : source.name);
    return all;
  }

  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();
  std::unique_ptr<SourceTree> tree_;
};

using Names = std::vector<std::string>;

}  // namespace wherry::build
