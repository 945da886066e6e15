// Trees for tests: entries with their contents, the objects and the record that they give, and what
// a walk over a directory finds, in the same words as what the entries promise.
#pragma once

#include <dirent.h>
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

#include <algorithm>
#include <filesystem>
#include <fstream>
#include <map>
#include <optional>
#include <string>
#include <vector>

#include "base/text.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "tree/erofs_writer.h"
#include "tree/record.h"

namespace wherry::testing {

struct Node {
  tree::Type type = tree::Type::kFile;
  unsigned mode = 0644;
  uint32_t uid = 0, gid = 0;
  int64_t mtime_s = 1'600'000'000;
  uint32_t mtime_ns = 0;
  std::string content = {};       // of files
  std::string target = {};        // of symlinks
  unsigned major = 0, minor = 0;  // of devices
  std::map<std::string, std::string> xattrs = {};
  std::string same_as = {};  // a further name of the file at this path
  bool opaque = false;
};

class Tree {
 public:
  struct Before {
    bool operator()(const std::string& a, const std::string& b) const {
      return tree::compare_paths(a, b) < 0;
    }
  };
  std::map<std::string, Node, Before> nodes;

  void directory(const std::string& path, Node node = {}) {
    node.type = tree::Type::kDirectory;
    if (node.mode == 0644) node.mode = 0755;
    nodes[path] = std::move(node);
  }
  void file(const std::string& path, const std::string& content, Node node = {}) {
    node.content = content;
    nodes[path] = std::move(node);
  }
  // Of the path that comes first in order.
  void link(const std::string& path, const std::string& first) {
    nodes[path] = nodes.at(first);
    nodes[path].same_as = first;
  }

  static tree::ObjectId object_of(const std::string& content) {
    tree::ObjectId id{};
    if (content.empty()) return id;
    const std::string hex = sys::sha256(content).hex();
    for (size_t i = 0; i < id.size(); ++i)
      id[i] = static_cast<uint8_t>(std::stoul(hex.substr(2 * i, 2), nullptr, 16));
    return id;
  }

  template <typename Use>
  void each(Use use) const {
    std::map<std::string, uint32_t> inodes;
    std::map<std::string, bool> shared;
    for (const auto& [path, node] : nodes)
      if (!node.same_as.empty()) shared[node.same_as] = true;
    for (const auto& [path, node] : nodes) {
      tree::Entry entry;
      entry.path = path;
      entry.type = node.type;
      entry.opaque = node.opaque;
      if (node.type != tree::Type::kWhiteout) {
        entry.mode = static_cast<uint16_t>(node.type == tree::Type::kSymlink ? 0777 : node.mode);
        entry.uid = node.uid;
        entry.gid = node.gid;
        entry.mtime_s = node.mtime_s;
        entry.mtime_ns = node.mtime_ns;
      }
      entry.size = node.content.size();
      entry.object = object_of(node.content);
      entry.target = node.target;
      entry.device_major = node.major;
      entry.device_minor = node.minor;
      for (const auto& [name, value] : node.xattrs) entry.xattrs.push_back({name, value});
      const std::string& first = node.same_as.empty() ? path : node.same_as;
      if (shared.contains(first))
        entry.inode = inodes.emplace(first, inodes.size() + 1).first->second;
      use(entry);
    }
  }

  std::string record(tree::RecordKind kind) const {
    std::string bytes;
    tree::RecordWriter writer(kind, [&](std::string_view more) -> Result<void> {
      bytes += more;
      return {};
    });
    Result<void> bad;
    each([&](const tree::Entry& entry) {
      Result<void> added = writer.add(entry);
      if (!added && bad) bad = std::move(added);
    });
    if (!bad) return "bad: " + bad.error().message();
    if (auto done = writer.finish(); !done) return "bad: " + done.error().message();
    return bytes;
  }

  void write_objects(const std::string& folder) const {
    for (const auto& [path, node] : nodes) {
      if (node.type != tree::Type::kFile || node.content.empty()) continue;
      std::string name = sys::sha256(node.content).hex();
      std::filesystem::create_directories(folder + "/" + name.substr(0, 2));
      name.insert(2, "/");
      std::ofstream(folder + "/" + name, std::ios::binary) << node.content;
      chmod((folder + "/" + name).c_str(), 0444);
    }
  }

  // As an EROFS file for sys/overlay.h.
  Result<void> write_image(const std::string& path) const {
    const std::string bytes = record(tree::RecordKind::kTree);
    TRY(sys::Fd image, sys::open_file(path, O_RDWR | O_CREAT | O_TRUNC));
    std::optional<tree::RecordReader> reader;
    TRY(const uint64_t size,
        tree::write_erofs(
            [&]() -> Result<tree::Entries> {
              TRY(tree::RecordReader opened,
                  tree::RecordReader::open(bytes, tree::RecordKind::kTree, 1'000'000));
              reader.reset();
              reader.emplace(std::move(opened));
              return tree::entries_of(*reader);
            },
            [&](uint64_t offset, std::string_view part) -> Result<void> {
              if (pwrite(image.get(), part.data(), part.size(), static_cast<off_t>(offset)) < 0)
                return Error::from_errno(errno, "cannot write '" + path + "'");
              return {};
            }));
    if (ftruncate(image.get(), static_cast<off_t>(size)) == 0) return {};
    return Error::from_errno(errno, "cannot write '" + path + "'");
  }

  // What walk() must find.
  std::vector<std::string> promised() const {
    std::vector<std::string> lines;
    each([&](const tree::Entry& entry) {
      const std::string path(entry.path);
      const Node& node = nodes.at(path);
      std::string line = path + " type " + std::to_string(static_cast<int>(entry.type)) + " mode " +
                         std::to_string(entry.mode) + " owner " + std::to_string(entry.uid) + ":" +
                         std::to_string(entry.gid) + " time " + std::to_string(entry.mtime_s) +
                         "." + std::to_string(entry.mtime_ns) + " device " +
                         std::to_string(node.major) + ":" + std::to_string(node.minor) +
                         " target " + node.target;
      if (entry.type == tree::Type::kFile)
        line += " content " + std::to_string(node.content.size()) + " " +
                sys::sha256(node.content).hex();
      for (const auto& [name, value] : node.xattrs) line += " " + name + "=" + value;
      if (!node.same_as.empty()) line += " same as " + node.same_as;
      lines.push_back(std::move(line));
    });
    return lines;
  }

 private:
  static tree::Type type_of(mode_t mode) {
    switch (mode & S_IFMT) {
      case S_IFDIR:
        return tree::Type::kDirectory;
      case S_IFLNK:
        return tree::Type::kSymlink;
      case S_IFCHR:
        return tree::Type::kCharDevice;
      case S_IFBLK:
        return tree::Type::kBlockDevice;
      case S_IFIFO:
        return tree::Type::kFifo;
      case S_IFSOCK:
        return tree::Type::kSocket;
      default:
        return tree::Type::kFile;
    }
  }

  static std::string xattrs_of(const std::string& place) {
    char names[4096];
    const ssize_t size = llistxattr(place.c_str(), names, sizeof names);
    std::map<std::string, std::string> found;
    for (ssize_t at = 0; at < size;) {
      const std::string name = names + at;
      at += static_cast<ssize_t>(name.size()) + 1;
      std::string value(70000, '\0');
      const ssize_t length = lgetxattr(place.c_str(), name.c_str(), value.data(), value.size());
      found[name] = value.substr(0, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    }
    std::string text;
    for (const auto& [name, value] : found) text += " " + name + "=" + value;
    return text;
  }

  static void walk_into(int dir, const std::string& path,
                        std::map<std::string, std::string, Before>& found,
                        std::map<std::string, ino_t, Before>& inodes) {
    struct stat info{};
    if (fstat(dir, &info) != 0) return;
    found[path] = describe(dir, ".", path, info);
    std::vector<std::string> names;
    {
      const int again = openat(dir, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
      if (again < 0) return;
      DIR* listing = fdopendir(again);
      while (const dirent* entry = readdir(listing))
        if (std::string_view(entry->d_name) != "." && std::string_view(entry->d_name) != "..")
          names.push_back(entry->d_name);
      closedir(listing);
    }
    for (const std::string& name : names) {
      const std::string below = path.empty() ? name : path + "/" + name;
      struct stat status{};
      if (fstatat(dir, name.c_str(), &status, AT_SYMLINK_NOFOLLOW) != 0) {
        found[below] = "cannot be looked at";
        continue;
      }
      if (S_ISDIR(status.st_mode)) {
        const sys::Fd inner(
            openat(dir, name.c_str(), O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC));
        walk_into(inner.get(), below, found, inodes);
        continue;
      }
      found[below] = describe(dir, name, below, status);
      inodes[below] = status.st_ino;
    }
  }

  static std::string describe(int dir, const std::string& name, const std::string& path,
                              const struct stat& info) {
    std::string line = path + " type " + std::to_string(static_cast<int>(type_of(info.st_mode))) +
                       " mode " + std::to_string(info.st_mode & 07777) + " owner " +
                       std::to_string(info.st_uid) + ":" + std::to_string(info.st_gid) + " time " +
                       std::to_string(info.st_mtim.tv_sec) + "." +
                       std::to_string(info.st_mtim.tv_nsec);
    const bool device = S_ISCHR(info.st_mode) || S_ISBLK(info.st_mode);
    line += " device " + std::to_string(device ? major(info.st_rdev) : 0) + ":" +
            std::to_string(device ? minor(info.st_rdev) : 0) + " target ";
    if (S_ISLNK(info.st_mode)) {
      char target[4096];
      const ssize_t length = readlinkat(dir, name.c_str(), target, sizeof target);
      line.append(target, static_cast<size_t>(std::max<ssize_t>(length, 0)));
    }
    if (S_ISREG(info.st_mode)) {
      const sys::Fd file(openat(dir, name.c_str(), O_RDONLY | O_NOFOLLOW | O_CLOEXEC));
      Result<std::string> content = sys::read_all(file.get(), 64 << 20);
      line += " content " + std::to_string(info.st_size) + " " +
              (content ? sys::sha256(*content).hex() : content.error().message());
    }
    return line + xattrs_of("/proc/self/fd/" + std::to_string(dir) + "/" + name);
  }

 public:
  // Everything in and below `dir`, as promised() says it. Names of one file are told by their inode
  // number: how many names it has elsewhere (in a farm) is nobody's business.
  static std::vector<std::string> walk(int dir) {
    std::map<std::string, std::string, Before> found;
    std::map<std::string, ino_t, Before> inodes;
    walk_into(dir, "", found, inodes);
    std::map<ino_t, std::string> first;
    std::vector<std::string> lines;
    for (auto& [path, line] : found) {
      if (auto inode = inodes.find(path); inode != inodes.end()) {
        auto [known, added] = first.emplace(inode->second, path);
        if (!added) line += " same as " + known->second;
      }
      lines.push_back(line);
    }
    return lines;
  }
};

// Of everything that an image can have.
inline Tree rich_tree() {
  using tree::Type;
  Tree tree;
  const std::string capability("\1\0\0\2\0\4\0\0\0\0\0\0\0\0\0\0\0\0\0\0", 20);
  tree.directory("", {.mode = 0751, .uid = 3, .gid = 4, .mtime_s = 1'500'000'000, .mtime_ns = 5});
  tree.directory("bin", {.mode = 0755, .mtime_ns = 999'999'999});
  tree.file("bin/busy", std::string(300'000, 'b') + "usy", {.mode = 04755});
  tree.file("bin/small", "small", {.mode = 02750, .uid = 1000, .gid = 100'000, .mtime_ns = 1});
  tree.file("bin/ping", "ping", {.mode = 0755, .xattrs = {{"security.capability", capability}}});
  tree.file("bin/empty", "", {.mode = 0, .mtime_s = 0});
  tree.file("bin/attributed", "a",
            {.mode = 0600,
             .xattrs = {{"user.a", "1"},
                        {"user.b", std::string("\0\xff", 2)},
                        {"user.long", std::string(2000, 'v')}}});
  // The same in all but name, and yet not one file.
  tree.file("bin/twin1", "twins", {});
  tree.file("bin/twin2", "twins", {});
  tree.file("bin/twin3", "twins", {});
  tree.file("bin/twin4", "twins", {.mode = 0600});
  tree.directory("dev", {});
  tree.nodes["dev/null"] = {.type = Type::kCharDevice, .mode = 0666, .major = 1, .minor = 3};
  tree.nodes["dev/disk"] = {
      .type = Type::kBlockDevice, .mode = 0660, .gid = 6, .major = 259, .minor = 70'000};
  tree.nodes["dev/fifo"] = {.type = Type::kFifo, .mode = 01622, .uid = 9};
  tree.nodes["dev/socket"] = {.type = Type::kSocket, .mode = 0777};
  tree.nodes["dev/link"] = {.type = Type::kSymlink,
                            .uid = 7,
                            .gid = 8,
                            .mtime_s = 1'000'000'000,
                            .mtime_ns = 77,
                            .target = "/etc/../../outside"};
  tree.link("dev/link2", "dev/link");
  tree.link("dev/null2", "dev/null");
  tree.directory("etc", {.mode = 01777, .xattrs = {{"user.dir", "yes"}}});
  tree.file("etc/one", "one content", {.mtime_s = -1, .mtime_ns = 3});
  tree.link("etc/two", "etc/one");
  tree.directory("etc/zz", {.mode = 0});
  tree.link("etc/zz/three", "etc/one");
  tree.file("etc/empty1", "", {});
  tree.link("etc/empty2", "etc/empty1");
  tree.directory("odd", {});
  tree.file("odd/\x01\xff\xfe \t\n\\'\"*", "odd", {});
  tree.file("odd/" + std::string(255, 'n'), "long name", {});
  tree.file("odd/.wh.kept", "no mark here", {});
  tree.file("odd/a:b,c", "separators", {});
  std::string deep = "deep";
  tree.directory(deep);
  for (int i = 0; i < 100; ++i) {
    deep += "/d" + std::to_string(i % 10);
    tree.directory(deep, {.mtime_s = 1'234'567'000 + i, .mtime_ns = static_cast<uint32_t>(i)});
    if (i % 30 == 0) tree.file(deep + "/z", "at " + std::to_string(i), {});
  }
  for (int i = 0; i < 300; ++i)
    tree.file("bin/many" + std::to_string(i), "content " + std::to_string(i % 50),
              {.mtime_s = 1'600'000'000 + i % 7});
  return tree;
}

}  // namespace wherry::testing
