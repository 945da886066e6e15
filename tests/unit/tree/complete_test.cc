// A layer with the directories that its record leaves out, as the tree has them.
#include "tree/complete.h"

#include <gtest/gtest.h>

#include "tree/merge.h"
#include "unit/tree/nodes.h"

namespace wherry::tree {
namespace {

using namespace testing;

Entries stream(const std::vector<Node>& nodes) {
  return [&nodes, entry = Entry(), next = size_t{0}]() mutable -> Result<const Entry*> {
    if (next == nodes.size()) return nullptr;
    entry = nodes[next++].view();
    return &entry;
  };
}

std::vector<Node> completed(const std::vector<Node>& layer, const std::vector<Node>& tree) {
  Completer completer(stream(layer), stream(tree));
  std::vector<Node> nodes;
  for (;;) {
    auto entry = completer.next();
    EXPECT_TRUE(entry) << entry.error().message();
    if (!entry || *entry == nullptr) return nodes;
    nodes.push_back(node_of(**entry));
  }
}

Node directory_of(const std::string& path, uint32_t uid) {
  return {.path = path,
          .mode = 01750,
          .uid = uid,
          .gid = 7,
          .mtime_s = 5,
          .mtime_ns = 6,
          .xattrs = {{"user.x", path}}};
}

Node file_of(const std::string& path) {
  return {.path = path, .type = Type::kFile, .mode = 0644};
}

TEST(Complete, WhatIsLeftOutIsAsTheTreeHasIt) {
  const std::vector<Node> tree{directory_of("", 1), directory_of("a", 2), directory_of("a/b", 3),
                               file_of("a/b/c"),    file_of("a/b/d"),     directory_of("a/e", 4),
                               file_of("a/e/f"),    directory_of("g", 5), file_of("g/h")};
  const std::vector<Node> layer{file_of("a/b/c"),
                                {.path = "a/b/x", .type = Type::kWhiteout},
                                file_of("a/e/f"),
                                file_of("g/h")};
  EXPECT_EQ(completed(layer, tree),
            (std::vector<Node>{tree[0], tree[1], tree[2], layer[0], layer[1], tree[5], layer[2],
                               tree[7], layer[3]}));
}

TEST(Complete, WhatIsThereStaysAsItIs) {
  const std::vector<Node> tree{directory_of("", 1), directory_of("a", 2), file_of("a/b")};
  std::vector<Node> layer{directory_of("", 8), directory_of("a", 9), file_of("a/b")};
  layer[1].opaque = true;
  EXPECT_EQ(completed(layer, tree), layer);
}

TEST(Complete, ALayerOfNothingHasTheTreesRoot) {
  EXPECT_EQ(completed({}, {directory_of("", 1), file_of("a")}),
            (std::vector<Node>{directory_of("", 1)}));
}

TEST(Complete, WhatNobodyHasIsRoots0755) {
  const std::vector<Node> layer{{.path = "a/b", .type = Type::kWhiteout}};
  EXPECT_EQ(completed(layer, {directory_of("", 1)}),
            (std::vector<Node>{directory_of("", 1), {.path = "a", .mode = 0755}, layer[0]}));
}

// Put down one by one and stacked again, the completed layers are the merged tree.
TEST(Complete, TheHighestDirectoryOfANameHasTheTreesMetadata) {
  Dice dice(5);
  for (int round = 0; round < 300; ++round) {
    std::vector<std::string> records;
    for (int i = 0; i < 4; ++i)
      records.push_back(record(RecordKind::kLayer, random_nodes(dice, true, dice.below(25))));
    const auto merged = [&](size_t count) {
      std::vector<RecordReader> readers;
      for (size_t i = 0; i < count; ++i)
        readers.push_back(
            std::move(*RecordReader::open(records[i], RecordKind::kLayer, 1'000'000)));
      return std::move(*Merger::open(std::move(readers)));
    };
    std::vector<std::string> whole;
    for (size_t i = 0; i < records.size(); ++i) {
      auto layer = RecordReader::open(records[i], RecordKind::kLayer, 1'000'000);
      Merger tree = merged(i + 1);
      Completer completer(entries_of(*layer), entries_of(tree));
      std::vector<Node> nodes;
      for (auto entry = completer.next(); entry && *entry != nullptr; entry = completer.next())
        nodes.push_back(node_of(**entry));
      whole.push_back(record(RecordKind::kLayer, nodes));
    }
    std::vector<Node> expected, found;
    Merger tree = merged(records.size());
    for (auto entry = tree.next(); *entry != nullptr; entry = tree.next())
      expected.push_back(node_of(**entry));
    records = whole;
    Merger again = merged(records.size());
    for (auto entry = again.next(); *entry != nullptr; entry = again.next())
      found.push_back(node_of(**entry));
    ASSERT_EQ(found, expected) << "round " << round;
  }
}

}  // namespace
}  // namespace wherry::tree
