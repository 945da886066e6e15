// A directory of one's own, trees made in it, and all that a layer says of a tree as text.
#pragma once

#include <gtest/gtest.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <map>
#include <sstream>

#include "archive/pack_client.h"
#include "archive/unpack_client.h"
#include "sys/fd.h"

namespace wherry::archive {

class TreeFixture : public ::testing::Test {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    char pattern[] = "/tmp/wherry-archive-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
  }
  void TearDown() override {
    unsetenv("WHERRY_FAILPOINT");
    EXPECT_EQ(children(), "") << "a helper is left";
    std::filesystem::remove_all(base_);
  }

  std::string make_tree(const std::string& name) {
    std::string path = base_ + "/" + name;
    EXPECT_EQ(mkdir(path.c_str(), 0755), 0);
    return path;
  }
  static void write(const std::string& path, const std::string& data = "x") {
    std::ofstream(path, std::ios::binary) << data;
  }
  static sys::Fd open(const std::string& path) {
    return std::move(*sys::open_file(path, O_RDONLY | O_DIRECTORY));
  }
  static Result<Packed> pack(const std::string& tree, int blob = -1,
                             Compression compression = Compression::kGzip) {
    sys::Fd fd = open(tree);
    return run_pack({.directory = fd.get(), .blob = blob, .compression = compression});
  }
  sys::Fd new_file(const std::string& name) {
    return std::move(*sys::open_file(base_ + "/" + name, O_RDWR | O_CREAT | O_EXCL));
  }
  static void rewind(const sys::Fd& fd) { lseek(fd.get(), 0, SEEK_SET); }

  // Pids of helpers that nobody has reaped, the newest last.
  static std::string children() {
    std::ifstream file("/proc/self/task/" + std::to_string(getpid()) + "/children");
    std::string text;
    std::getline(file, text);
    return text;
  }

  // Path -> everything that a layer keeps of it.
  static std::map<std::string, std::string> described(const std::string& tree) {
    std::map<std::string, std::string> all;
    std::map<ino_t, std::string> first;
    std::map<std::string, struct stat> sorted;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(tree)) {
      struct stat info{};
      EXPECT_EQ(lstat(entry.path().c_str(), &info), 0);
      if (!S_ISSOCK(info.st_mode)) sorted[entry.path().string()] = info;
    }
    for (const auto& [path, info] : sorted) {
      std::string name = path.substr(tree.size());
      if (S_ISCHR(info.st_mode) && info.st_rdev == 0) {
        all[name] = "whiteout";
        continue;
      }
      std::ostringstream text;
      text << std::oct << info.st_mode << std::dec << " " << info.st_uid << ":" << info.st_gid
           << " " << info.st_mtim.tv_sec << "." << info.st_mtim.tv_nsec;
      if (S_ISREG(info.st_mode)) {
        std::ifstream file(path, std::ios::binary);
        text << " " << info.st_size << " #"
             << std::hash<std::string>()(std::string(std::istreambuf_iterator<char>(file), {}));
      }
      if (S_ISLNK(info.st_mode)) text << " -> " << std::filesystem::read_symlink(path).string();
      if (S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode))
        text << " " << major(info.st_rdev) << ":" << minor(info.st_rdev);
      if (!S_ISDIR(info.st_mode) && info.st_nlink > 1)
        text << " = " << first.try_emplace(info.st_ino, name).first->second;
      for (const char* attribute :
           {"user.note", "user.empty", "security.capability", "trusted.overlay.opaque"}) {
        char value[256];
        ssize_t size = lgetxattr(path.c_str(), attribute, value, sizeof value);
        if (size >= 0) text << " " << attribute << "=" << std::string(value, value + size);
      }
      all[name] = text.str();
    }
    return all;
  }

  std::string base_;
};

}  // namespace wherry::archive
