// Trees on disk for tests: made of nodes, walked back into nodes, and mounts of them in a mount
// namespace of the test's own.
#pragma once

#include <dirent.h>
#include <gtest/gtest.h>
#include <sched.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>

#include "base/text.h"
#include "sys/mount.h"
#include "sys/sha256.h"
#include "unit/tree/nodes.h"

namespace wherry::tree::testing {

inline ObjectId object_of(std::string_view content) {
  const std::string hex = sys::sha256(content).hex();
  ObjectId id;
  for (size_t i = 0; i < id.size(); ++i)
    id[i] = static_cast<uint8_t>(std::stoi(hex.substr(2 * i, 2), nullptr, 16));
  return id;
}

// A folder on a real disk, removed at the end; mounts die with the process's namespace.
class DiskFixture : public ::testing::Test {
 protected:
  static void SetUpTestSuite() {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_TRUE(sys::make_all_mounts_private());
  }
  void SetUp() override {
    char pattern[] = "/tmp/wherry-tree-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
  }
  void TearDown() override {
    for (; !mounted_.empty(); mounted_.pop_back())
      EXPECT_EQ(umount2(mounted_.back().c_str(), MNT_DETACH), 0) << mounted_.back();
    std::filesystem::remove_all(base_);
  }

  std::string folder(const std::string& name) {
    std::filesystem::create_directories(base_ + "/" + name);
    return base_ + "/" + name;
  }
  // Attached to a folder of that name; its path. Owns nothing: TearDown unmounts.
  std::string attach(Result<sys::Fd> mount, const std::string& name) {
    EXPECT_TRUE(mount) << mount.error().message();
    const std::string path = folder(name);
    if (!mount) return path;
    auto target = sys::open_file(path, O_PATH | O_DIRECTORY);
    const auto attached = sys::attach_mount(mount->get(), target->get());
    EXPECT_TRUE(attached) << attached.error().message();
    mounted_.push_back(path);
    return path;
  }
  std::string mount_tmpfs(const std::string& name) {
    auto tmpfs = sys::Filesystem::open("tmpfs");
    return attach(tmpfs->mount(0), name);
  }
  // Overlay of folders or mounts, lowest first; `data` and `upper` may be empty.
  std::string mount_overlay(const std::string& name, const std::vector<std::string>& lowers,
                            const std::string& data, const std::string& upper) {
    auto overlay = sys::Filesystem::open("overlay");
    std::vector<sys::Fd> held;
    const auto set = [&](const char* key, const std::string& path) {
      held.push_back(std::move(*sys::open_file(path, O_PATH | O_DIRECTORY)));
      const auto done = overlay->set_fd(key, held.back().get());
      EXPECT_TRUE(done) << done.error().message();
    };
    for (auto lower = lowers.rbegin(); lower != lowers.rend(); ++lower) set("lowerdir+", *lower);
    if (!data.empty()) set("datadir+", data);
    if (!upper.empty()) {
      set("upperdir", folder(upper + "/upper"));
      set("workdir", folder(upper + "/work"));
    }
    EXPECT_TRUE(overlay->set("metacopy", "off"));
    return attach(overlay->mount(0), name);
  }

  std::string base_;
  std::vector<std::string> mounted_;
};

inline void write_whole(const std::string& path, std::string_view content) {
  std::ofstream(path, std::ios::binary) << content;
}
inline std::string read_whole(const std::string& path) {
  std::ifstream file(path, std::ios::binary);
  return std::string(std::istreambuf_iterator<char>(file), {});
}

// What a file node with this size has in it: its object's first byte, over and over.
inline std::string content_of(const Node& node) {
  return std::string(node.size, static_cast<char>('a' + node.object[0]));
}

inline void make_name(const std::string& path, const Node& node) {
  switch (node.type) {
    case Type::kDirectory:
      ASSERT_TRUE(mkdir(path.c_str(), 0700) == 0 || errno == EEXIST) << path;
      break;
    case Type::kFile:
      write_whole(path, content_of(node));
      break;
    case Type::kSymlink:
      ASSERT_EQ(::symlink(node.target.c_str(), path.c_str()), 0) << path;
      break;
    default: {
      constexpr mode_t kBits[] = {0, 0, 0, 0, S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK, S_IFCHR};
      ASSERT_EQ(mknod(path.c_str(), kBits[static_cast<size_t>(node.type)],
                      makedev(node.device_major, node.device_minor)),
                0)
          << path << " " << errno;
    }
  }
}

inline void give(const std::string& path, const Node& node) {
  if (node.type == Type::kWhiteout) return;
  ASSERT_EQ(lchown(path.c_str(), node.uid, node.gid), 0) << path;
  if (node.type != Type::kSymlink) {
    ASSERT_EQ(chmod(path.c_str(), node.mode), 0) << path;
  }
  for (const auto& [name, value] : node.xattrs)
    ASSERT_EQ(lsetxattr(path.c_str(), name.c_str(), value.data(), value.size(), 0), 0) << path;
  if (node.opaque) {
    ASSERT_EQ(lsetxattr(path.c_str(), "trusted.overlay.opaque", "y", 1, 0), 0) << path;
  }
}

inline void set_time(const std::string& path, const Node& node) {
  const timespec times[2] = {{.tv_sec = 0, .tv_nsec = UTIME_OMIT},
                             {.tv_sec = node.mtime_s, .tv_nsec = node.mtime_ns}};
  ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, AT_SYMLINK_NOFOLLOW), 0) << path;
}

// Makes the nodes below `root`; parents that are missing are made as they come.
inline void make_tree(const std::string& root, const std::vector<Node>& nodes) {
  std::map<uint32_t, std::string> first;
  for (const Node& node : nodes) {
    const std::string path = root + "/" + node.path;
    std::filesystem::create_directories(std::filesystem::path(path).parent_path());
    if (node.inode > 0 && first.contains(node.inode)) {
      ASSERT_EQ(link(first[node.inode].c_str(), path.c_str()), 0) << path;
      continue;
    }
    make_name(path, node);
    give(path, node);
    if (node.inode > 0) first[node.inode] = path;
  }
  for (auto node = nodes.rbegin(); node != nodes.rend(); ++node)
    if (node->type != Type::kWhiteout) set_time(root + "/" + node->path, *node);
}

// Everything below a folder as the nodes of a layer or a tree, by system calls alone.
class Walker {
 public:
  explicit Walker(std::string root, bool overlay = false)
      : root_(std::move(root)), overlay_(overlay) {}

  std::vector<Node> walk() {
    visit("");
    std::vector<Node> nodes = in_order(nodes_);
    std::map<std::pair<dev_t, ino_t>, uint32_t> numbers;
    for (Node& node : nodes) {
      const auto& key = inodes_.at(node.path);
      if (names_.at(key) > 1)
        node.inode = numbers.emplace(key, static_cast<uint32_t>(numbers.size() + 1)).first->second;
    }
    return nodes;
  }

 private:
  void visit(const std::string& path) {
    const std::string full = root_ + "/" + path;
    struct stat info{};
    // Overlay lists the whiteouts of a directory that only one layer has, but finds nothing there.
    if (lstat(full.c_str(), &info) != 0 && errno == ENOENT && overlay_) return;
    ASSERT_EQ(lstat(full.c_str(), &info), 0) << full;
    Node node{.path = path};
    node.mode = info.st_mode & 07777;
    node.uid = info.st_uid;
    node.gid = info.st_gid;
    node.mtime_s = info.st_mtim.tv_sec;
    node.mtime_ns = static_cast<uint32_t>(info.st_mtim.tv_nsec);
    set_type(node, info, full);
    if (node.type == Type::kWhiteout) node = whiteout(path);
    read_xattrs(node, full);
    inodes_[path] = {info.st_dev, info.st_ino};
    if (node.type != Type::kDirectory) ++names_[inodes_[path]];
    if (node.type == Type::kDirectory) names_[inodes_[path]] = 1;
    const bool directory = node.type == Type::kDirectory;
    nodes_[path] = std::move(node);
    if (directory) list(path, full);
  }

  static void set_type(Node& node, const struct stat& info, const std::string& full) {
    const auto device = [&](Type type) {
      node.type = type;
      node.device_major = major(info.st_rdev);
      node.device_minor = minor(info.st_rdev);
    };
    if (S_ISDIR(info.st_mode)) {
      node.type = Type::kDirectory;
    } else if (S_ISREG(info.st_mode)) {
      node.type = Type::kFile;
      node.size = static_cast<uint64_t>(info.st_size);
      const std::string content = read_whole(full);
      EXPECT_EQ(content.size(), node.size) << full;
      if (node.size > 0) node.object = object_of(content);
    } else if (S_ISLNK(info.st_mode)) {
      node.type = Type::kSymlink;
      node.target = std::filesystem::read_symlink(full);
    } else if (S_ISCHR(info.st_mode)) {
      device(info.st_rdev == 0 ? Type::kWhiteout : Type::kCharDevice);
    } else if (S_ISBLK(info.st_mode)) {
      device(Type::kBlockDevice);
    } else {
      node.type = S_ISFIFO(info.st_mode) ? Type::kFifo : Type::kSocket;
    }
  }

  static void read_xattrs(Node& node, const std::string& full) {
    std::vector<char> names(64 << 10), value(64 << 10);
    const ssize_t size = llistxattr(full.c_str(), names.data(), names.size());
    ASSERT_GE(size, 0) << full;
    for (const char* name = names.data(); name < names.data() + size; name += strlen(name) + 1) {
      const ssize_t length = lgetxattr(full.c_str(), name, value.data(), value.size());
      ASSERT_GE(length, 0) << full << " " << name;
      if (std::string_view(name) == "trusted.overlay.opaque")
        node.opaque = true;
      else
        node.xattrs.emplace_back(name, std::string(value.data(), static_cast<size_t>(length)));
    }
    std::ranges::sort(node.xattrs);
  }

  void list(const std::string& path, const std::string& full) {
    DIR* open = opendir(full.c_str());
    ASSERT_NE(open, nullptr) << full;
    std::vector<std::string> names;
    while (const dirent* name = readdir(open)) names.emplace_back(name->d_name);
    closedir(open);
    EXPECT_EQ(std::ranges::count(names, ".") + std::ranges::count(names, ".."), 2) << full;
    for (const std::string& name : names)
      if (name != "." && name != "..") visit(path.empty() ? name : path + "/" + name);
  }

  std::string root_;
  bool overlay_;
  Nodes nodes_;
  std::map<std::string, std::pair<dev_t, ino_t>> inodes_;
  std::map<std::pair<dev_t, ino_t>, int> names_;
};

// Files as small as tests can read.
inline std::vector<Node> small(std::vector<Node> nodes) {
  for (Node& node : nodes) node.size = std::min<uint64_t>(node.size, 5000);
  return nodes;
}

}  // namespace wherry::tree::testing
