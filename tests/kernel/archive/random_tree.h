// Trees of every kind of file, the same for the same seed.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <fstream>
#include <random>
#include <string>
#include <vector>

namespace wherry::archive {

// Anything that a container can leave in its upper directory.
class RandomTree {
 public:
  RandomTree(std::string root, unsigned seed) : root_(std::move(root)), random_(seed) {}

  void grow(int count) {
    for (int i = 0; i < count; ++i) add(directories_[pick(directories_.size())] + "/" + name(i));
    for (const std::string& path : all_) settle(path);
    for (size_t i = directories_.size(); i-- > 1;) settle(directories_[i]);
  }

 private:
  size_t pick(size_t count) { return random_() % count; }
  std::string name(int i) {
    static const char* const kStems[] = {"a",    "b-",       "lib.so",  "sp ace",
                                         "nl\n", "\xff\xfe", "\xc3\xa9"};
    std::string stem = kStems[pick(std::size(kStems))];
    if (pick(6) == 0) stem += std::string(60 + pick(140), 'n');
    return stem + std::to_string(i);
  }
  void add(const std::string& path) {
    const char* c_path = path.c_str();
    switch (pick(9)) {
      case 0:
      case 1:
        ASSERT_EQ(mkdir(c_path, 0755), 0);
        if (pick(3) == 0) {
          ASSERT_EQ(setxattr(c_path, "trusted.overlay.opaque", "y", 1, 0), 0);
        }
        directories_.push_back(path);
        return;
      case 2:
        ASSERT_EQ(symlink(std::string(1 + pick(300), 't').c_str(), c_path), 0);
        break;
      case 3:
        if (files_.empty()) return;
        ASSERT_EQ(link(files_[pick(files_.size())].c_str(), c_path), 0);
        return;
      case 4:
        ASSERT_EQ(mknod(c_path, S_IFIFO | 0600, 0), 0);
        break;
      case 5:
        ASSERT_EQ(
            mknod(c_path, pick(2) == 0 ? S_IFCHR : S_IFBLK, makedev(pick(300), 1 + pick(70000))),
            0);
        break;
      case 6:
        ASSERT_EQ(mknod(c_path, S_IFCHR, 0), 0);
        return;
      default:
        add_file(path);
        return;
    }
    all_.push_back(path);
  }
  void add_file(const std::string& path) {
    static const size_t kSizes[] = {0, 1, 511, 512, 513, 5000, 262144, 300001};
    std::string data(kSizes[pick(std::size(kSizes))], '\0');
    for (char& c : data) c = static_cast<char>(random_());
    std::ofstream(path, std::ios::binary) << data;
    files_.push_back(path);
    all_.push_back(path);
  }
  void settle(const std::string& path) {
    struct stat info{};
    ASSERT_EQ(lstat(path.c_str(), &info), 0);
    static const unsigned kIds[] = {0, 1000, 65534, 2097151, 2097152, 4'000'000'000};
    ASSERT_EQ(lchown(path.c_str(), kIds[pick(6)], kIds[pick(6)]), 0);
    if (!S_ISLNK(info.st_mode)) {
      ASSERT_EQ(chmod(path.c_str(), random_() & 07777), 0);
    }
    if (S_ISREG(info.st_mode) || S_ISDIR(info.st_mode)) add_attributes(path, S_ISREG(info.st_mode));
    static const timespec kTimes[] = {
        {0, 0}, {1'700'000'000, 0}, {1'700'000'000, 123456789}, {1'700'000'000, 100}, {-7, 0}};
    timespec time = kTimes[pick(5)];
    timespec times[2] = {time, time};
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0);
  }
  void add_attributes(const std::string& path, bool file) {
    const char* c_path = path.c_str();
    if (pick(4) == 0) {
      ASSERT_EQ(setxattr(c_path, "user.note", "a\n=b", 4, 0), 0);
    }
    if (pick(8) == 0) {
      ASSERT_EQ(setxattr(c_path, "user.empty", "", 0, 0), 0);
    }
    static const char kCapability[20] = {1, 0, 0, 2, 0, 4};
    if (file && pick(4) == 0) {
      ASSERT_EQ(setxattr(c_path, "security.capability", kCapability, 20, 0), 0);
    }
  }

  std::string root_;
  std::mt19937 random_;
  std::vector<std::string> directories_{root_};
  std::vector<std::string> files_, all_;
};

}  // namespace wherry::archive
