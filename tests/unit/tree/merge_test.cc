// What chains of layers make, against a plain model that applies one layer after another.
#include "tree/merge.h"

#include <gtest/gtest.h>

#include "unit/tree/nodes.h"

namespace wherry::tree {
namespace {

using namespace testing;
using Layers = std::vector<std::vector<Node>>;

Result<std::vector<Node>> drain(Merger& merger) {
  std::vector<Node> nodes;
  while (true) {
    TRY(const Entry* entry, merger.next());
    if (entry == nullptr) return nodes;
    nodes.push_back(node_of(*entry));
  }
}

std::vector<Node> merged(const Layers& layers) {
  std::vector<std::string> records;
  for (const auto& nodes : layers) records.push_back(record(RecordKind::kLayer, nodes));
  std::vector<RecordReader> readers;
  for (const std::string& bytes : records) {
    auto reader = RecordReader::open(bytes, RecordKind::kLayer, 1'000'000);
    EXPECT_TRUE(reader);
    readers.push_back(std::move(*reader));
  }
  auto merger = Merger::open(std::move(readers));
  EXPECT_TRUE(merger) << merger.error().message();
  const auto nodes = drain(*merger);
  EXPECT_TRUE(nodes) << nodes.error().message();
  EXPECT_TRUE(merger->rewind());
  EXPECT_EQ(*drain(*merger), *nodes);
  EXPECT_EQ(record(RecordKind::kTree, *nodes).empty(), false);
  return *nodes;
}

void remove_below(Nodes& tree, const std::string& path) {
  std::erase_if(tree, [&path](const auto& item) { return is_below(item.first, path); });
}

void need_parents(Nodes& tree, const std::string& path) {
  if (!tree.contains("")) tree[""] = directory("");
  for (size_t slash = path.find('/'); slash != path.npos; slash = path.find('/', slash + 1)) {
    const std::string parent = path.substr(0, slash);
    const auto here = tree.find(parent);
    if (here == tree.end() || here->second.type != Type::kDirectory)
      tree[parent] = directory(parent);
  }
}

std::vector<Node> by_model(const Layers& layers) {
  Nodes tree;
  uint32_t offset = 0;
  for (const auto& layer : layers) {
    for (const Node& node : layer) {  // first what it hides
      if (node.opaque || node.type != Type::kDirectory) remove_below(tree, node.path);
      const auto here = tree.find(node.path);
      if (here != tree.end() &&
          (node.type != Type::kDirectory || here->second.type != Type::kDirectory))
        tree.erase(here);
    }
    uint32_t most = 0;
    for (const Node& node : layer) {
      need_parents(tree, node.path);
      if (node.type == Type::kWhiteout) continue;
      Node shown = node;
      shown.opaque = false;
      if (shown.inode > 0) {
        most = std::max(most, shown.inode);
        shown.inode += offset;
      }
      tree[node.path] = shown;
    }
    offset += most;
  }
  need_parents(tree, "");
  std::vector<Node> nodes = in_order(tree);
  std::map<uint32_t, int> names;
  for (const Node& node : nodes) ++names[node.inode];
  std::map<uint32_t, uint32_t> numbers;
  for (Node& node : nodes)
    if (node.inode > 0)
      node.inode =
          names[node.inode] < 2 ? 0 : numbers.emplace(node.inode, numbers.size() + 1).first->second;
  return nodes;
}

TEST(Merge, MakesWhatTheModelMakesOfRandomLayers) {
  for (uint64_t seed = 1; seed <= 1000; ++seed) {
    Dice dice(seed);
    Layers layers(1 + dice.below(6));
    for (auto& layer : layers) layer = random_nodes(dice, true, dice.below(25));
    ASSERT_EQ(merged(layers), by_model(layers)) << "seed " << seed;
  }
}

TEST(Merge, OfNothingIsARoot) {
  EXPECT_EQ(merged({}), std::vector<Node>{directory("")});
  EXPECT_EQ(merged({{}, {}}), std::vector<Node>{directory("")});
}

TEST(Merge, OfFiveHundredLayersHasWhatIsOnTop) {
  Layers layers;
  for (int i = 0; i < 500; ++i) {
    std::vector<Node> layer = {directory(""), file("each" + std::to_string(1000 + i), 1),
                               file("same", 1 + i)};
    layer[0].uid = static_cast<uint32_t>(i);
    layers.push_back(layer);
  }
  const auto nodes = merged(layers);
  ASSERT_EQ(nodes.size(), 502u);
  EXPECT_EQ(nodes[0].uid, 499u);
  EXPECT_EQ(nodes.back(), file("same", 500));
}

TEST(Merge, ADirectoryThatALayerLeavesOutIsTheLowers) {
  Node usr = directory("usr");
  usr.mode = 0700;
  EXPECT_EQ(merged({{usr}, {file("usr/bin/x")}}),
            (std::vector<Node>{directory(""), usr, directory("usr/bin"), file("usr/bin/x")}));
}

TEST(Merge, NamesBelowAFileOfALowerLayerMakeItADirectory) {
  EXPECT_EQ(merged({{file("a/old")}, {file("a")}, {file("a/new")}}),
            (std::vector<Node>{directory(""), directory("a"), file("a/new")}));
}

TEST(Merge, ADirectoryOverAFileDoesNotShowWhatTheFileHid) {
  EXPECT_EQ(merged({{directory("a"), file("a/old")}, {file("a")}, {directory("a"), file("a/new")}}),
            (std::vector<Node>{directory(""), directory("a"), file("a/new")}));
  EXPECT_EQ(merged({{directory("a"), file("a/old")}, {whiteout("a")}, {directory("a")}}),
            (std::vector<Node>{directory(""), directory("a")}));
}

TEST(Merge, AnOpaqueDirectoryShowsItselfAndWhatIsAbove) {
  EXPECT_EQ(merged({{directory("a"), file("a/0")},
                    {opaque("a"), file("a/1")},
                    {directory("a"), file("a/2")}}),
            (std::vector<Node>{directory(""), directory("a"), file("a/1"), file("a/2")}));
  EXPECT_EQ(merged({{file("x")}, {opaque(""), file("y")}}),
            (std::vector<Node>{directory(""), file("y")}));
}

TEST(Merge, NamesOfOneFileStayTogetherWhenTwoAreLeft) {
  const std::vector<Node> lower = {link_of("a", 1, 7), link_of("b", 1, 7), link_of("c", 1, 7)};
  EXPECT_EQ(merged({lower, {whiteout("b")}}),
            (std::vector<Node>{directory(""), link_of("a", 1, 7), link_of("c", 1, 7)}));
  EXPECT_EQ(merged({lower, {whiteout("a"), whiteout("b")}}),
            (std::vector<Node>{directory(""), file("c", 7)}));
  EXPECT_EQ(merged({lower, {file("0", 1), link_of("aa", 1), link_of("ab", 1)}}),
            (std::vector<Node>{directory(""), file("0", 1), link_of("a", 1, 7), link_of("aa", 2),
                               link_of("ab", 2), link_of("b", 1, 7), link_of("c", 1, 7)}));
}

TEST(Merge, EqualFileSystemsOfOtherLayersHaveOneDigest) {
  const auto one = merged({{file("a", 1), file("b", 2)}});
  const auto other =
      merged({{file("a", 9), file("x/y")}, {file("b", 2), whiteout("x")}, {file("a", 1)}});
  EXPECT_EQ(write(RecordKind::kTree, one).summary->digest,
            write(RecordKind::kTree, other).summary->digest);
}

TEST(Merge, TheErrorOfADamagedLayerIsReturned) {
  std::string good = record(RecordKind::kLayer, {file("a", 1)}),
              bad = record(RecordKind::kLayer, {file("b", 1)});
  bad[30] = static_cast<char>(bad[30] ^ 1);  // in the object's name: only the checksum sees it
  std::vector<RecordReader> readers;
  for (const std::string* bytes : {&good, &bad})
    readers.push_back(std::move(*RecordReader::open(*bytes, RecordKind::kLayer, 10)));
  auto merger = Merger::open(std::move(readers));
  ASSERT_TRUE(merger);
  const auto nodes = drain(*merger);
  ASSERT_FALSE(nodes);
  EXPECT_EQ(nodes.error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace wherry::tree
