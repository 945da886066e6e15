// Differences of trees, and the objects that a tree names.
#include "tree/difference.h"

#include <gtest/gtest.h>

#include "tree/objects.h"
#include "unit/tree/nodes.h"

namespace wherry::tree {
namespace {

using namespace testing;

Entries stream(const std::vector<Node>& nodes) {
  return [&nodes, at = size_t{0}, entry = Entry()]() mutable -> Result<const Entry*> {
    if (at == nodes.size()) return nullptr;
    entry = nodes[at++].view();
    return &entry;
  };
}

// "+path size", "-path size" and "~path what".
std::vector<std::string> told(const std::vector<Node>& before, const std::vector<Node>& after) {
  std::vector<std::string> lines;
  const auto done =
      differences(stream(before), stream(after), [&lines](const Difference& it) -> Result<void> {
        const Entry* one = it.before == nullptr ? it.after : it.before;
        const char sign = it.before == nullptr ? '+' : it.after == nullptr ? '-' : '~';
        lines.push_back(sign + std::string(it.path()) + " " +
                        std::to_string(sign == '~' ? it.what : one->size));
        return {};
      });
  EXPECT_TRUE(done);
  return lines;
}

Node changed(Node node, const std::function<void(Node&)>& change) {
  change(node);
  return node;
}

using Lines = std::vector<std::string>;

TEST(Difference, OfATreeAndItselfIsNothing) {
  Dice dice(5);
  const auto nodes = random_nodes(dice, false, 200);
  EXPECT_EQ(told(nodes, nodes), Lines{});
}

TEST(Difference, NamesWhatIsAddedAndRemovedOneByOne) {
  const Node root = directory("");
  EXPECT_EQ(told({root, directory("a"), file("a/b", 3), file("z", 1)},
                 {root, file("a.b", 4), file("z", 1)}),
            (Lines{"-a 0", "-a/b 3", "+a.b 4"}));
  EXPECT_EQ(told({root}, {root, file("x", 1)}), (Lines{"+x 1"}));
  EXPECT_EQ(told({root, file("x", 1)}, {root}), (Lines{"-x 1"}));
  EXPECT_EQ(told({}, {root}), (Lines{"+ 0"}));
}

TEST(Difference, SaysWhatOfANameHasChanged) {
  const Node one = file("f", 5);
  const auto what = [](const Node& before, const Node& after) { return told({before}, {after}); };
  EXPECT_EQ(what(one, file("f", 6)), Lines{"~f " + std::to_string(kContent)});
  EXPECT_EQ(what(one, file("f", 5, 2)), Lines{"~f " + std::to_string(kContent)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.mode = 0600; })),
            Lines{"~f " + std::to_string(kMode)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.uid = 1; })),
            Lines{"~f " + std::to_string(kOwner)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.gid = 1; })),
            Lines{"~f " + std::to_string(kOwner)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.mtime_s = 1; })),
            Lines{"~f " + std::to_string(kTime)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.mtime_ns = 1; })),
            Lines{"~f " + std::to_string(kTime)});
  EXPECT_EQ(what(one, changed(one, [](Node& n) { n.xattrs = {{"user.a", ""}}; })),
            Lines{"~f " + std::to_string(kXattrs)});
  EXPECT_EQ(what(symlink("f", "a"), symlink("f", "b")), Lines{"~f " + std::to_string(kTarget)});
  EXPECT_EQ(what(one, symlink("f", "b")), Lines{"~f " + std::to_string(kType | kMode)});
  const Node device{.path = "f", .type = Type::kBlockDevice, .device_major = 8};
  EXPECT_EQ(what(device, changed(device, [](Node& n) { n.device_minor = 1; })),
            Lines{"~f " + std::to_string(kDevice)});
}

TEST(Difference, SeesWhichNamesAreOneFileWhateverTheirNumbers) {
  const auto line = [](const char* path) {
    return "~" + std::string(path) + " " + std::to_string(kLinks);
  };
  const std::vector<Node> pairs = {link_of("b", 1), link_of("c", 1), link_of("d", 2),
                                   link_of("e", 2)};
  const std::vector<Node> later = {link_of("a", 1), link_of("b", 2), link_of("c", 2),
                                   link_of("d", 3), link_of("e", 3), link_of("f", 1)};
  EXPECT_EQ(told(pairs, later), (Lines{"+a 0", "+f 0"}));
  const std::vector<Node> crossed = {link_of("b", 1), link_of("c", 2), link_of("d", 1),
                                     link_of("e", 2)};
  EXPECT_EQ(told(pairs, crossed), (Lines{line("c"), line("d"), line("e")}));
  const std::vector<Node> apart = {file("b"), file("c"), link_of("d", 1), link_of("e", 1)};
  EXPECT_EQ(told(pairs, apart), (Lines{line("b"), line("c")}));
}

TEST(Difference, EndsWithTheErrorOfWhoReadsIt) {
  const std::vector<Node> none, one = {directory("")};
  const auto done = differences(stream(none), stream(one), [](const Difference&) -> Result<void> {
    return Error(ErrorKind::kUnavailable, "enough");
  });
  ASSERT_FALSE(done);
  EXPECT_EQ(done.error().message(), "enough");
}

TEST(Objects, AreEachToldOnceAndSorted) {
  const std::vector<Node> nodes = {directory(""),   file("a", 5, 9), file("b", 3, 2),
                                   file("c", 5, 9), file("d"),       symlink("e", "a")};
  const auto objects = objects_of(stream(nodes));
  ASSERT_TRUE(objects);
  ASSERT_EQ(objects->size(), 2u);
  EXPECT_EQ((*objects)[0].id[0], 2);
  EXPECT_EQ((*objects)[0].size, 3u);
  EXPECT_EQ((*objects)[1].id[0], 9);
}

TEST(Objects, OfTwoSizesAreALie) {
  const std::vector<Node> nodes = {file("a", 5, 9), file("b", 6, 9)};
  const auto objects = objects_of(stream(nodes));
  ASSERT_FALSE(objects);
  EXPECT_EQ(objects.error().kind(), ErrorKind::kCorrupt);
}

}  // namespace
}  // namespace wherry::tree
