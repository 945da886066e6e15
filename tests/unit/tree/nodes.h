// Trees as values for tests: entries that own their texts, records made of them and read back,
// and random ones.
#pragma once

#include <algorithm>
#include <map>
#include <ostream>
#include <random>
#include <stdexcept>
#include <string>
#include <utility>
#include <vector>

#include "tree/record.h"

namespace wherry::tree::testing {

struct Node {
  std::string path;
  Type type = Type::kDirectory;
  bool opaque = false;
  uint16_t mode = 0755;
  uint32_t uid = 0, gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  uint32_t inode = 0;
  uint64_t size = 0;
  ObjectId object{};
  std::string target;
  uint32_t device_major = 0, device_minor = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;

  bool operator==(const Node&) const = default;

  Entry view() const {
    Entry entry{.path = path,
                .type = type,
                .opaque = opaque,
                .mode = mode,
                .uid = uid,
                .gid = gid,
                .mtime_s = mtime_s,
                .mtime_ns = mtime_ns,
                .inode = inode,
                .size = size,
                .object = object,
                .target = target,
                .device_major = device_major,
                .device_minor = device_minor};
    for (const auto& [name, value] : xattrs) entry.xattrs.push_back({name, value});
    return entry;
  }
};

inline void PrintTo(const Node& node, std::ostream* out) {
  *out << "{" << node.path << " type " << int(node.type) << (node.opaque ? " opaque" : "")
       << " mode " << std::oct << node.mode << std::dec << " owner " << node.uid << ":" << node.gid
       << " time " << node.mtime_s << "." << node.mtime_ns << " inode " << node.inode << " size "
       << node.size << " object " << int(node.object[0]) << " target " << node.target << " device "
       << node.device_major << ":" << node.device_minor << " xattrs " << node.xattrs.size() << "}";
}

inline Node node_of(const Entry& entry) {
  Node node{.path = std::string(entry.path),
            .type = entry.type,
            .opaque = entry.opaque,
            .mode = entry.mode,
            .uid = entry.uid,
            .gid = entry.gid,
            .mtime_s = entry.mtime_s,
            .mtime_ns = entry.mtime_ns,
            .inode = entry.inode,
            .size = entry.size,
            .object = entry.object,
            .target = std::string(entry.target),
            .device_major = entry.device_major,
            .device_minor = entry.device_minor};
  for (const Xattr& xattr : entry.xattrs)
    node.xattrs.emplace_back(std::string(xattr.name), std::string(xattr.value));
  return node;
}

inline Node directory(std::string path) {
  return {.path = std::move(path)};
}
// `object`: the first byte of its name.
inline Node file(std::string path, uint64_t size = 0, uint8_t object = 1) {
  return {.path = std::move(path),
          .type = Type::kFile,
          .mode = 0644,
          .size = size,
          .object = {size > 0 ? object : uint8_t{0}}};
}
inline Node link_of(std::string path, uint32_t inode, uint64_t size = 0) {
  Node node = file(std::move(path), size);
  node.inode = inode;
  return node;
}
inline Node symlink(std::string path, std::string target) {
  return {
      .path = std::move(path), .type = Type::kSymlink, .mode = 0777, .target = std::move(target)};
}
inline Node whiteout(std::string path) {
  return {.path = std::move(path), .type = Type::kWhiteout, .mode = 0};
}
inline Node opaque(std::string path) {
  return {.path = std::move(path), .opaque = true};
}

struct Written {
  Result<RecordWriter::Summary> summary = Error(ErrorKind::kInternal, "not written");
  std::string bytes;
};

inline Written write(RecordKind kind, const std::vector<Node>& nodes) {
  Written written;
  RecordWriter writer(kind, [&written](std::string_view bytes) -> Result<void> {
    written.bytes.append(bytes);
    return {};
  });
  for (const Node& node : nodes) {
    if (auto added = writer.add(node.view()); !added) {
      written.summary = added.error();
      return written;
    }
  }
  written.summary = writer.finish();
  return written;
}

inline std::string record(RecordKind kind, const std::vector<Node>& nodes) {
  Written written = write(kind, nodes);
  if (!written.summary) throw std::runtime_error(written.summary.error().message());
  return written.bytes;
}

inline Result<std::vector<Node>> read(std::string_view bytes, RecordKind kind,
                                      uint64_t most = 1'000'000) {
  std::vector<Node> nodes;
  TRY(RecordReader reader, RecordReader::open(bytes, kind, most));
  while (true) {
    TRY(const Entry* entry, reader.next());
    if (entry == nullptr) return nodes;
    nodes.push_back(node_of(*entry));
  }
}

class Dice {
 public:
  explicit Dice(uint64_t seed) : engine_(seed) {}
  uint64_t below(uint64_t n) { return engine_() % n; }
  bool one_in(uint64_t n) { return below(n) == 0; }

 private:
  std::mt19937_64 engine_;
};

inline void give_metadata(Dice& dice, Node& node) {
  node.mode = static_cast<uint16_t>(dice.below(4096));
  node.uid = dice.one_in(3) ? static_cast<uint32_t>(dice.below(0xffffffff)) : 0;
  node.gid = dice.one_in(3) ? static_cast<uint32_t>(dice.below(0xffffffff)) : 0;
  // The times that ext4 can keep: 1901 to 2446.
  node.mtime_s = static_cast<int64_t>(dice.below(15'000'000'000)) - 2'000'000'000;
  node.mtime_ns = static_cast<uint32_t>(dice.below(1'000'000'000));
  if (dice.one_in(4) && (node.type == Type::kFile || node.type == Type::kDirectory))
    for (uint64_t i = 0; i <= dice.below(3); ++i)
      node.xattrs.emplace_back("user." + std::string(1 + i, 'a'),
                               std::string(dice.below(300), static_cast<char>('a' + i)));
}

inline Node random_node(Dice& dice, std::string path, bool layer) {
  Node node{.path = std::move(path)};
  const uint64_t kind = dice.below(layer ? 12 : 10);
  if (kind < 4) {
    node.type = Type::kDirectory;
    node.opaque = layer && dice.one_in(4);
  } else if (kind < 7) {
    node.type = Type::kFile;
    node.size = dice.one_in(3) ? 0 : dice.below(dice.one_in(5) ? uint64_t{1} << 46 : 5000);
    if (node.size > 0) node.object[0] = static_cast<uint8_t>(dice.below(5));
  } else if (kind == 7) {
    node.type = Type::kSymlink;
    node.target = std::string(1 + dice.below(dice.one_in(4) ? 4095 : 30), 't');
  } else if (kind == 8) {
    node.type = dice.one_in(2) ? Type::kCharDevice : Type::kBlockDevice;
    node.device_major = 1 + static_cast<uint32_t>(dice.below(4095));
    node.device_minor = static_cast<uint32_t>(dice.below(1u << 20));
  } else if (kind == 9) {
    node.type = dice.one_in(2) ? Type::kFifo : Type::kSocket;
  } else {
    node.type = Type::kWhiteout;
    node.mode = 0;
    return node;
  }
  give_metadata(dice, node);
  return node;
}

struct PathOrder {
  bool operator()(const std::string& a, const std::string& b) const {
    return compare_paths(a, b) < 0;
  }
};
using Nodes = std::map<std::string, Node, PathOrder>;

inline std::vector<Node> in_order(const Nodes& nodes) {
  std::vector<Node> ordered;
  for (const auto& [path, node] : nodes) ordered.push_back(node);
  return ordered;
}

// Gives some files several names: nodes that follow one another in order, but for directories.
inline void link_some(Dice& dice, std::vector<Node>& nodes) {
  uint32_t last = 0;
  const Node* first = nullptr;
  for (Node& node : nodes) {
    if (node.type == Type::kDirectory || node.type == Type::kWhiteout) continue;
    if (first != nullptr && dice.one_in(2)) {
      std::string path = std::exchange(node.path, "");
      node = *first;
      node.path = std::move(path);
    } else if (dice.one_in(4)) {
      node.inode = ++last;
      first = &node;
    } else {
      first = nullptr;
    }
  }
  // A number with one name is for layers only.
  std::map<uint32_t, int> names;
  for (const Node& node : nodes) ++names[node.inode];
  std::map<uint32_t, uint32_t> renamed;
  for (Node& node : nodes) {
    if (node.inode == 0) continue;
    if (names[node.inode] == 1)
      node.inode = 0;
    else
      node.inode = renamed.emplace(node.inode, renamed.size() + 1).first->second;
  }
}

// Some names below some directories, all parents there unless `layer`.
inline std::vector<Node> random_nodes(Dice& dice, bool layer, uint64_t count) {
  static const std::vector<std::string> kNames = {"a", "b", "a.b", "a-", ".x", "!", "..."};
  Nodes nodes;
  if (!layer || !dice.one_in(3)) nodes[""] = directory("");
  for (uint64_t i = 0; i < count; ++i) {
    std::string path;
    for (uint64_t depth = dice.below(4);; --depth) {
      path += (path.empty() ? "" : "/") + kNames[dice.below(kNames.size())];
      const auto here = nodes.find(path);
      if (here != nodes.end() && here->second.type != Type::kDirectory) break;
      const bool last = depth == 0;
      if (here == nodes.end()) {
        const auto next = nodes.upper_bound(path);
        const bool above_others = next != nodes.end() && is_below(next->first, path);
        if (last && !above_others) {
          nodes[path] = random_node(dice, path, layer);
        } else if (!layer || dice.one_in(2)) {
          nodes[path] = directory(path);
          give_metadata(dice, nodes[path]);
        }
      }
      if (last) break;
    }
  }
  std::vector<Node> ordered = in_order(nodes);
  link_some(dice, ordered);
  return ordered;
}

}  // namespace wherry::tree::testing
