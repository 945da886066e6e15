// EROFS images of trees, read by a reader of their own; tests/kernel/tree lets the kernel read
// them.
#include <gtest/gtest.h>

#include "tree/erofs_format.h"
#include "tree/erofs_writer.h"
#include "unit/tree/image_reader.h"
#include "unit/tree/nodes.h"

namespace wherry::tree {
namespace {

using namespace testing;

void expect_round_trip(const std::vector<Node>& nodes) {
  try {
    EXPECT_EQ(ImageReader(image_of(record(RecordKind::kTree, nodes))).read(), nodes);
  } catch (const std::exception& wrong) {
    ADD_FAILURE() << wrong.what();
  }
}

TEST(Erofs, TheChecksumIsTheOneOfItsPublishedExample) {
  EXPECT_EQ(~erofs::crc32c(~0u, "123456789"), 0xe3069283u);
}

TEST(Erofs, AnImageHasTheTreeThatItWasMadeOf) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Dice dice(seed);
    expect_round_trip(random_nodes(dice, false, 1 + dice.below(80)));
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST(Erofs, AnEmptyTreeIsTwoBlocksAndOneOfNames) {
  const std::string image = image_of(record(RecordKind::kTree, {directory("")}));
  EXPECT_EQ(image.size(), 3 * 4096u);
  EXPECT_EQ(ImageReader(image).read(), std::vector<Node>{directory("")});
}

TEST(Erofs, DirectoriesOfEverySizeAroundABlockAreWhole) {
  for (size_t names = 1; names < 300; ++names) {
    std::vector<Node> nodes = {directory(""), directory("d")};
    for (size_t i = 0; i < names; ++i) {
      std::string name = std::to_string(1000 + i);
      name.resize(4 + (i * 7 + names) % 60, 'x');
      nodes.push_back(file("d/" + name));
    }
    expect_round_trip(nodes);
    if (HasFailure()) FAIL() << names << " names";
  }
}

TEST(Erofs, NamesBeforeTheDotsAreInTheirPlace) {
  std::vector<Node> nodes = {directory("")};
  for (const char* name :
       {"!", "+", "-", ".!", ".-x", "..!", "...", ".a", "/", "0", "\x7f", "\xff\xff"})
    if (std::string_view(name) != "/") nodes.push_back(file(name));
  expect_round_trip(nodes);
}

TEST(Erofs, AHundredThousandNamesAreInOneDirectory) {
  std::vector<Node> nodes = {directory(""), directory("many")};
  for (int i = 0; i < 100'000; ++i) nodes.push_back(file("many/f" + std::to_string(1'000'000 + i)));
  expect_round_trip(nodes);
}

TEST(Erofs, ExtremesOfEveryFieldSurvive) {
  Node big = file("big", kMaxFileSize, 0xab);
  big.mode = 07777;
  big.uid = 0xfffffffe;
  big.gid = 0x80000000;
  big.mtime_s = -62135596800;
  big.mtime_ns = 999'999'999;
  big.xattrs = {{"security.capability", std::string(20, '\1')},
                {"user.a", std::string(65535, 'x')}};
  Node many = file("many");
  for (int i = 0; i < 128; ++i)
    many.xattrs.emplace_back("user." + std::to_string(100 + i) + std::string(200, 'n'),
                             std::string(500, 'v'));
  const Node device{
      .path = "z", .type = Type::kCharDevice, .device_major = 4095, .device_minor = 0xfffff};
  expect_round_trip({directory(""), big, file("chunk", uint64_t{1} << 43),
                     file("chunks", (uint64_t{1} << 43) + 1), many, file("one", 1),
                     symlink("t", std::string(4095, 't')), device});
}

TEST(Erofs, AFileWithSeveralNamesIsOneInode) {
  expect_round_trip({directory(""), link_of("a", 1, 5), directory("b"), link_of("b/c", 2, 6),
                     link_of("b/d", 1, 5), link_of("e", 2, 6), link_of("f", 1, 5)});
}

TEST(Erofs, TheSameTreeGivesTheSameBytes) {
  Dice dice(3);
  const std::string tree = record(RecordKind::kTree, random_nodes(dice, false, 200));
  EXPECT_EQ(image_of(tree), image_of(tree));
}

TEST(Erofs, EntriesThatAreNoTreeAreRefused) {
  const std::vector<std::vector<Node>> rows = {{},
                                               {file("a")},
                                               {directory(""), file("a/b")},
                                               {directory(""), link_of("a", 2)},
                                               {directory(""), directory("")}};
  for (const auto& nodes : rows) {
    ErofsLayout layout;
    Result<void> done;
    for (const Node& node : nodes)
      if (done) done = layout.add(node.view());
    if (done) done = layout.finish();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::kInternal);
  }
}

TEST(Erofs, OtherEntriesThanThoseLaidOutAreRefused) {
  const std::vector<Node> laid_out = {directory(""), directory("a"), link_of("a/b", 1),
                                      link_of("c", 1)};
  const std::vector<std::vector<Node>> rows = {
      {},
      {directory(""), directory("a"), link_of("a/b", 1)},
      {directory(""), directory("a"), link_of("a/b", 1), link_of("c", 1), file("d")},
      {directory(""), directory("a"), directory("a/b"), directory("c")},
      {directory(""), directory("a"), file("a/" + std::string(255, 'b'), 1), file("c", 1)},
      {directory(""), directory("a"), link_of("a/b", 1), link_of("c", 2)},
      {file("c")}};
  for (const auto& nodes : rows) {
    ErofsLayout layout;
    for (const Node& node : laid_out) ASSERT_TRUE(layout.add(node.view()));
    ASSERT_TRUE(layout.finish());
    ErofsWriter writer(layout, [](uint64_t, std::string_view) { return Result<void>(); });
    Result<void> done;
    for (const Node& node : nodes)
      if (done) done = writer.add(node.view());
    if (done) done = writer.finish();
    ASSERT_FALSE(done);
    EXPECT_EQ(done.error().kind(), ErrorKind::kInternal);
  }
}

TEST(Erofs, TheErrorOfTheSinkIsReturned) {
  Dice dice(3);
  std::vector<Node> nodes = {directory("")};
  for (int i = 0; i < 1000; ++i) nodes.push_back(file("f" + std::to_string(1000 + i), 5));
  const std::string tree = record(RecordKind::kTree, nodes);
  for (int good = 0; good < 6; ++good) {
    auto first = RecordReader::open(tree, RecordKind::kTree, 2000);
    int left = good;
    const auto size = write_erofs(
        [&]() -> Result<Entries> {
          first->rewind();
          return entries_of(*first);
        },
        [&left](uint64_t, std::string_view) -> Result<void> {
          if (left-- > 0) return {};
          return Error(ErrorKind::kResourceExhausted, "full");
        });
    ASSERT_FALSE(size) << good;
    EXPECT_EQ(size.error().message(), "full");
  }
}

}  // namespace
}  // namespace wherry::tree
