// What the merger makes of layers, against overlay: random folders, mounted and walked.
#include "tree/merge.h"

#include "kernel/tree/disk.h"

namespace wherry::tree {
namespace {

using namespace testing;

class MergeBesideOverlay : public DiskFixture {};

std::vector<Node> merged(const std::vector<std::vector<Node>>& layers) {
  std::vector<std::string> records;
  for (const auto& nodes : layers) records.push_back(record(RecordKind::kLayer, nodes));
  std::vector<RecordReader> readers;
  for (const std::string& bytes : records)
    readers.push_back(std::move(*RecordReader::open(bytes, RecordKind::kLayer, 1'000'000)));
  auto merger = Merger::open(std::move(readers));
  EXPECT_TRUE(merger) << merger.error().message();
  std::vector<Node> nodes;
  while (const Entry* entry = *merger->next()) nodes.push_back(node_of(*entry));
  return nodes;
}

void expect_same(const std::vector<Node>& ours, const std::vector<Node>& theirs) {
  for (size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
    ASSERT_LT(i, ours.size()) << theirs[i].path;
    ASSERT_LT(i, theirs.size()) << ours[i].path;
    ASSERT_EQ(ours[i], theirs[i]);
  }
}

TEST_F(MergeBesideOverlay, BothShowTheSameTreeOfRandomLayers) {
  mount_tmpfs("disk");
  for (uint64_t seed = 1; seed <= 150; ++seed) {
    Dice dice(seed);
    const std::string place = "disk/" + std::to_string(seed);
    std::vector<std::string> folders;
    std::vector<std::vector<Node>> layers;
    for (uint64_t i = 0, count = 2 + dice.below(5); i < count; ++i) {
      folders.push_back(folder(place + "/" + std::to_string(i)));
      make_tree(folders.back(), small(random_nodes(dice, true, dice.below(40))));
      if (HasFatalFailure()) return;
      layers.push_back(Walker(folders.back()).walk());
    }
    const std::string mount = mount_overlay(place + "/merged", folders, "", "");
    expect_same(merged(layers), Walker(mount, true).walk());
    if (HasFailure()) FAIL() << "seed " << seed;
    ASSERT_EQ(umount2(mount.c_str(), 0), 0);
    mounted_.pop_back();
  }
}

TEST_F(MergeBesideOverlay, BothShowTheSameTreeOfAHundredLayers) {
  mount_tmpfs("disk");
  Dice dice(99);
  std::vector<std::string> folders;
  std::vector<std::vector<Node>> layers;
  for (int i = 0; i < 100; ++i) {
    folders.push_back(folder("disk/" + std::to_string(i)));
    make_tree(folders.back(), small(random_nodes(dice, true, 12)));
    layers.push_back(Walker(folders.back()).walk());
  }
  expect_same(merged(layers), Walker(mount_overlay("disk/merged", folders, "", ""), true).walk());
}

}  // namespace
}  // namespace wherry::tree
