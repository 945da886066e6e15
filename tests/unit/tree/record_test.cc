// Records of layers and trees: what is written comes back, everything else is refused.
#include "tree/record.h"

#include <gtest/gtest.h>

#include "sys/sha256.h"
#include "tree/coding.h"
#include "tree/record_layout.h"
#include "unit/tree/nodes.h"

namespace wherry::tree {
namespace {

using namespace testing;

TEST(ComparePaths, PutsADirectoryBeforeWhatIsInItAndThatBeforeItsNeighbours) {
  const std::vector<std::string> ordered = {"",   "a",   "a/b", "a/b/c", "a/c",
                                            "a!", "a-b", "a.b", "aa",    "b"};
  for (size_t i = 0; i < ordered.size(); ++i)
    for (size_t j = 0; j < ordered.size(); ++j)
      EXPECT_EQ(compare_paths(ordered[i], ordered[j]), i < j   ? -1
                                                       : i > j ? 1
                                                               : 0)
          << ordered[i] << " " << ordered[j];
}

TEST(Xattrs, OnlyThoseThatImagesMayHaveAreKept) {
  EXPECT_TRUE(is_xattr_kept(Type::kFile, "user.a"));
  EXPECT_TRUE(is_xattr_kept(Type::kDirectory, "user.overlayfs"));
  EXPECT_TRUE(is_xattr_kept(Type::kFile, "security.capability"));
  for (const char* name :
       {"user.", "user", "user.overlay.opaque", "trusted.overlay.opaque", "trusted.x",
        "security.selinux", "security.ima", "system.posix_acl_access", ""})
    EXPECT_FALSE(is_xattr_kept(Type::kFile, name)) << name;
  EXPECT_FALSE(is_xattr_kept(Type::kSymlink, "user.a"));
  EXPECT_FALSE(is_xattr_kept(Type::kDirectory, "security.capability"));
  EXPECT_FALSE(is_xattr_kept(Type::kFile, std::string_view("user.a\0b", 8)));
}

TEST(Record, WhatIsWrittenComesBack) {
  for (uint64_t seed = 1; seed <= 300; ++seed) {
    Dice dice(seed);
    for (const RecordKind kind : {RecordKind::kLayer, RecordKind::kTree}) {
      const auto nodes = random_nodes(dice, kind == RecordKind::kLayer, 60);
      const std::string bytes = record(kind, nodes);
      const auto again = read(bytes, kind);
      ASSERT_TRUE(again) << again.error().message();
      EXPECT_EQ(*again, nodes) << "seed " << seed;
      EXPECT_EQ(record(kind, *again), bytes);
    }
  }
}

TEST(Record, OfTheExtremesComesBack) {
  Node big = file("big", kMaxFileSize);
  big.mode = 07777;
  big.uid = big.gid = 0xfffffffe;
  big.mtime_s = INT64_MIN;
  big.mtime_ns = 999'999'999;
  big.xattrs = {{"user." + std::string(250, 'x'), std::string(kMaxXattrBytes, 'v')},
                {"user.y", ""}};
  Node late = file("late");
  late.mtime_s = INT64_MAX;
  Node device{.path = "zero", .type = Type::kBlockDevice};
  std::string deep;
  std::vector<Node> nodes = {directory(""), big};
  for (int i = 0; i < 2047; ++i) nodes.push_back(directory(deep += i == 0 ? "d" : "/d"));
  nodes.insert(nodes.end(), {late, symlink("link", std::string(kMaxTarget, 't')),
                             file(std::string(kMaxName, 'n')), device});
  const auto again = read(record(RecordKind::kTree, nodes), RecordKind::kTree);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ(*again, nodes);
}

TEST(Record, ItsDigestIsItsLastBytesAndThatOfAllBeforeThem) {
  const Written written = write(RecordKind::kTree, {directory(""), file("a", 3), file("b", 4)});
  const std::string body = written.bytes.substr(0, written.bytes.size() - 32);
  EXPECT_EQ(written.summary->digest, sys::sha256(body));
  EXPECT_EQ(written.summary->entries, 3u);
  EXPECT_EQ(written.summary->files_size, 7u);
  auto reader = RecordReader::open(written.bytes, RecordKind::kTree, 3);
  ASSERT_TRUE(reader);
  EXPECT_EQ(reader->digest(), written.summary->digest);
  EXPECT_EQ(reader->entries(), 3u);
  EXPECT_EQ(reader->files_size(), 7u);
}

TEST(Record, AnInodeWithSeveralNamesCountsOnce) {
  const Written written =
      write(RecordKind::kTree, {directory(""), link_of("a", 1, 9), link_of("b", 1, 9)});
  EXPECT_EQ(written.summary->files_size, 9u);
}

TEST(Record, IsReadAgainAfterRewinding) {
  const std::string bytes =
      record(RecordKind::kTree, {directory(""), link_of("a", 1, 9), link_of("b", 1, 9)});
  auto reader = RecordReader::open(bytes, RecordKind::kTree, 10);
  for (int round = 0; round < 3; ++round) {
    int entries = 0;
    while (const Entry* entry = *reader->next()) entries += entry != nullptr;
    EXPECT_EQ(entries, 3);
    EXPECT_EQ(*reader->next(), nullptr);
    reader->rewind();
  }
}

struct Refused {
  const char* why;
  RecordKind kind;
  std::vector<Node> nodes;
};

Node with(Node node, const std::function<void(Node&)>& change) {
  change(node);
  return node;
}

std::vector<Refused> refused() {
  constexpr auto kLayer = RecordKind::kLayer, kTree = RecordKind::kTree;
  const Node root = directory("");
  return {
      {"no root", kTree, {}},
      {"no root before", kTree, {file("a")}},
      {"no parent", kTree, {root, file("a/b")}},
      {"no parent after a neighbour", kTree, {root, directory("a"), directory("a/b"), file("c/b")}},
      {"below a file", kTree, {root, file("a"), file("a/b")}},
      {"below a file in a layer", kLayer, {file("a"), file("a/b/c")}},
      {"below a whiteout", kLayer, {whiteout("a"), file("a/b")}},
      {"twice", kLayer, {file("a"), file("a")}},
      {"order", kLayer, {file("b"), file("a")}},
      {"order of a directory", kLayer, {file("a.b"), file("a/b")}},
      {"the root last", kLayer, {file("a"), root}},
      {"a root that is a file", kLayer, {file("")}},
      {"a root that is a whiteout", kLayer, {whiteout("")}},
      {"whiteout in a tree", kTree, {root, whiteout("a")}},
      {"opaque in a tree", kTree, {root, opaque("a")}},
      {"opaque file", kLayer, {with(file("a"), [](Node& n) { n.opaque = true; })}},
      {"dot", kLayer, {file("a/.")}},
      {"dot dot", kLayer, {file("../a")}},
      {"dot dot after what is the same", kLayer, {file("a/.x"), file("a/..")}},
      {"dot dot made of what is the same", kLayer, {file("a/.../x"), file("a/../x")}},
      {"leading slash", kLayer, {file("/a")}},
      {"trailing slash", kLayer, {file("a/")}},
      {"two slashes", kLayer, {file("a//b")}},
      {"zero byte", kLayer, {file(std::string("a\0b", 3))}},
      {"name", kLayer, {file(std::string(256, 'a'))}},
      {"name in two steps",
       kLayer,
       {file(std::string(200, 'a')), file(std::string(200, 'a') + std::string(100, 'b'))}},
      {"path", kLayer, {file([] {
         std::string path;
         for (int i = 0; i < 2048; ++i) path += "a/";
         return path + "a";
       }())}},
      {"mode", kLayer, {with(file("a"), [](Node& n) { n.mode = 010000; })}},
      {"uid", kLayer, {with(file("a"), [](Node& n) { n.uid = 0xffffffff; })}},
      {"gid", kLayer, {with(file("a"), [](Node& n) { n.gid = 0xffffffff; })}},
      {"nanoseconds", kLayer, {with(file("a"), [](Node& n) { n.mtime_ns = 1'000'000'000; })}},
      {"size", kLayer, {file("a", kMaxFileSize + 1)}},
      {"target", kLayer, {symlink("a", "")}},
      {"long target", kLayer, {symlink("a", std::string(4096, 'a'))}},
      {"zero byte in a target", kLayer, {symlink("a", std::string("a\0", 2))}},
      {"device 0:0", kLayer, {{.path = "a", .type = Type::kCharDevice}}},
      {"major", kLayer, {{.path = "a", .type = Type::kBlockDevice, .device_major = 4096}}},
      {"minor", kLayer, {{.path = "a", .type = Type::kBlockDevice, .device_minor = 1u << 20}}},
      {"trusted",
       kLayer,
       {with(file("a"), [](Node& n) { n.xattrs = {{"trusted.overlay.redirect", "/x"}}; })}},
      {"xattr order",
       kLayer,
       {with(file("a"), [](Node& n) { n.xattrs = {{"user.b", ""}, {"user.a", ""}}; })}},
      {"xattr twice",
       kLayer,
       {with(file("a"), [](Node& n) { n.xattrs = {{"user.a", ""}, {"user.a", ""}}; })}},
      {"xattr of a symlink",
       kLayer,
       {with(symlink("a", "b"), [](Node& n) { n.xattrs = {{"user.a", ""}}; })}},
      {"xattr value",
       kLayer,
       {with(file("a"), [](Node& n) { n.xattrs = {{"user.a", std::string(65536, 'x')}}; })}},
      {"xattr values",
       kLayer,
       {with(file("a"),
             [](Node& n) {
               for (const char* name : {"user.a", "user.b", "user.c"})
                 n.xattrs.emplace_back(name, std::string(50000, 'x'));
             })}},
      {"xattr count",
       kLayer,
       {with(file("a"),
             [](Node& n) {
               for (int i = 0; i < 129; ++i)
                 n.xattrs.emplace_back("user." + std::to_string(1000 + i), "");
             })}},
      {"one name of several", kTree, {root, link_of("a", 1)}},
      {"inode 2 first", kLayer, {link_of("a", 2)}},
      {"directory with several names",
       kLayer,
       {with(directory("a"), [](Node& n) { n.inode = 1; })}},
      {"names that differ", kLayer, {link_of("a", 1, 1), link_of("b", 1, 2)}},
  };
}

TEST(RecordWriter, WritesNothingThatNoRecordMaySay) {
  for (const Refused& row : refused()) {
    const Written written = write(row.kind, row.nodes);
    ASSERT_FALSE(written.summary) << row.why;
    EXPECT_TRUE(written.summary.error().kind() == ErrorKind::kInternal ||
                written.summary.error().kind() == ErrorKind::kResourceExhausted)
        << row.why;
  }
}

TEST(RecordWriter, ReturnsTheErrorOfItsSink) {
  RecordWriter writer(RecordKind::kTree, [](std::string_view) -> Result<void> {
    return Error(ErrorKind::kResourceExhausted, "full");
  });
  ASSERT_TRUE(writer.add(directory("").view()));
  const auto summary = writer.finish();
  ASSERT_FALSE(summary);
  EXPECT_EQ(summary.error().message(), "full");
}

// A record by hand: what no writer of ours would write.
struct Forged {
  std::string entries;
  uint64_t count = 0, files_size = 0;
  uint32_t inodes = 0;

  Forged& plain(uint8_t tag, size_t same, const std::string& rest, const std::string& content) {
    ++count;
    entries.push_back(static_cast<char>(tag));
    append_varint(entries, same);
    append_varint(entries, rest.size());
    entries += rest + content;
    return *this;
  }
  std::string bytes(RecordKind kind = RecordKind::kLayer) const {
    std::string all(kRecordMagic);
    all.push_back(1);
    all.push_back(static_cast<char>(kind));
    all.append(6, '\0');
    all += entries;
    all.push_back(0);
    append_fixed(all, count);
    append_fixed(all, files_size);
    append_fixed(all, inodes);
    const std::string hex = sys::sha256(all).hex();
    for (size_t i = 0; i < hex.size(); i += 2)
      all.push_back(static_cast<char>(std::stoi(hex.substr(i, 2), nullptr, 16)));
    return all;
  }
};

const std::string kEmptyFile("\x20\x00\x00\x00\x00\x00", 6);  // mode 040, ids, times, size

TEST(RecordReader, ReadsWhatIsForgedWell) {
  EXPECT_TRUE(read(Forged().bytes(), RecordKind::kLayer));
  EXPECT_TRUE(read(Forged().plain(2, 0, "a", kEmptyFile).bytes(), RecordKind::kLayer));
}

TEST(RecordReader, RefusesWhatIsNotWrittenAsTheFormatSays) {
  using namespace std::string_literals;
  const Forged fine = Forged().plain(2, 0, "a", kEmptyFile);
  const auto with_same_owner = "\x00\x00\x00"s;
  const std::vector<std::pair<const char*, std::string>> rows = {
      {"type 10", Forged().plain(10, 0, "a", kEmptyFile).bytes()},
      {"prefix beyond the path", Forged().plain(2, 1, "a", kEmptyFile).bytes()},
      {"prefix too short", Forged(fine).plain(0x22, 0, "ab", with_same_owner).bytes()},
      {"same owner repeated", Forged(fine).plain(2, 0, "b", kEmptyFile).bytes()},
      {"same owner that is not", Forged().plain(2, 0, "a", "\x00\x00\x00\x00\x00\x00"s).bytes()},
      {"long varint", Forged().plain(2, 0, "a", "\xa0\x00\x00\x00\x00\x00\x00"s).bytes()},
      {"endless varint", Forged().plain(2, 0, "a", std::string(20, '\xff')).bytes()},
      {"mode of 17 bits", Forged().plain(2, 0, "a", "\xa0\x80\x04\x00\x00\x00\x00\x00"s).bytes()},
      {"uid of 33 bits",
       Forged().plain(2, 0, "a", "\x20\x80\x80\x80\x80\x10\x00\x00\x00\x00"s).bytes()},
      {"cut in an object", Forged().plain(2, 0, "a", "\x20\x00\x00\x00\x00\x05xxx"s).bytes()},
      {"target beyond the end", Forged().plain(3, 0, "a", "\x20\x00\x00\x00\x00\x7fx"s).bytes()},
      {"huge target",
       Forged()
           .plain(3, 0, "a", "\x20\x00\x00\x00\x00\xff\xff\xff\xff\xff\xff\xff\xff\xff\x01"s)
           .bytes()},
      {"no xattrs though flagged", Forged().plain(0x42, 0, "a", kEmptyFile + "\x00"s).bytes()},
      {"200 xattrs", Forged().plain(0x42, 0, "a", kEmptyFile + "\xc8\x01"s).bytes()},
      {"flags of a whiteout", Forged().plain(0x28, 0, "a", "").bytes()},
      {"link to nothing", Forged().plain(9, 0, "a", "\x01"s).bytes()},
      {"link to 0", Forged().plain(9, 0, "a", "\x00"s).bytes()},
      {"link with flags", Forged(fine).plain(0x19, 0, "b", "\x01"s).bytes()},
      {"first name told against another",
       Forged(fine).plain(0xa2, 0, "b", with_same_owner).bytes()},
      {"trailing bytes",
       [&] {
         Forged forged = fine;
         forged.entries += "x";
         return forged.bytes();
       }()},
      {"fewer entries than it says",
       [&] {
         Forged forged = fine;
         ++forged.count;
         return forged.bytes();
       }()},
      {"more entries than it says",
       [&] {
         Forged forged = fine;
         forged.count = 0;
         return forged.bytes();
       }()},
      {"other size than it says",
       [&] {
         Forged forged = fine;
         forged.files_size = 1;
         return forged.bytes();
       }()},
      {"other inodes than it says",
       [&] {
         Forged forged = fine;
         forged.inodes = 1;
         return forged.bytes();
       }()},
  };
  for (const auto& [why, bytes] : rows) {
    const auto nodes = read(bytes, RecordKind::kLayer);
    ASSERT_FALSE(nodes) << why;
    EXPECT_TRUE(nodes.error().kind() == ErrorKind::kCorrupt) << why << nodes.error().message();
  }
}

TEST(RecordReader, ChecksWhatItReadsAsTheWriterDoes) {
  using namespace std::string_literals;
  // A selection of refused(), by hand; the checks are the writer's own code.
  const std::vector<std::pair<const char*, std::string>> rows = {
      {"dot dot", Forged().plain(2, 0, "..", kEmptyFile).bytes()},
      {"order", Forged().plain(2, 0, "b", kEmptyFile).plain(0x22, 0, "a", "\x00\x00\x00"s).bytes()},
      {"twice", Forged().plain(2, 0, "b", kEmptyFile).plain(0x22, 1, "", "\x00\x00\x00"s).bytes()},
      {"device 0:0", Forged().plain(4, 0, "a", "\x20\x00\x00\x00\x00\x00\x00"s).bytes()},
      {"trusted", Forged().plain(0x42, 0, "a", kEmptyFile + "\x01\x09trusted.a\x00"s).bytes()},
      {"below a file",
       Forged().plain(2, 0, "a", kEmptyFile).plain(0x22, 1, "/b", "\x00\x00\x00"s).bytes()},
  };
  for (const auto& [why, bytes] : rows) {
    const auto nodes = read(bytes, RecordKind::kLayer);
    ASSERT_FALSE(nodes) << why;
    EXPECT_EQ(nodes.error().kind(), ErrorKind::kCorrupt) << why;
  }
  const auto tree =
      read(Forged().plain(2, 0, "a", kEmptyFile).bytes(RecordKind::kTree), RecordKind::kTree);
  EXPECT_EQ(tree.error().message(), "'a' of the record has no directory above it");
}

TEST(RecordReader, RefusesEveryFlippedBitAndEveryCut) {
  Dice dice(7);
  const std::string bytes = record(RecordKind::kLayer, random_nodes(dice, true, 12));
  ASSERT_TRUE(read(bytes, RecordKind::kLayer));
  for (size_t i = 0; i < bytes.size() * 8; ++i) {
    std::string damaged = bytes;
    damaged[i / 8] = static_cast<char>(damaged[i / 8] ^ (1 << (i % 8)));
    EXPECT_FALSE(read(damaged, RecordKind::kLayer)) << "bit " << i;
  }
  for (size_t length = 0; length < bytes.size(); ++length)
    EXPECT_FALSE(read(std::string_view(bytes).substr(0, length), RecordKind::kLayer)) << length;
}

TEST(RecordReader, TellsANewerFormatAnotherKindAndTooManyEntriesApart) {
  const std::string bytes = record(RecordKind::kTree, {directory(""), file("a")});
  EXPECT_EQ(read(bytes, RecordKind::kLayer).error().message(), "the record is not that of a layer");
  const auto many = read(bytes, RecordKind::kTree, 1);
  EXPECT_EQ(many.error().kind(), ErrorKind::kResourceExhausted);
  EXPECT_EQ(many.error().message(), "the record has 2 entries, more than the 1 allowed");
  std::string newer = bytes;
  newer[8] = 2;
  EXPECT_EQ(read(newer, RecordKind::kTree).error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(read("", RecordKind::kTree).error().kind(), ErrorKind::kCorrupt);
}

TEST(RecordReader, GoesOnFailingAfterAnError) {
  std::string bytes = record(RecordKind::kTree, {directory(""), file("a")});
  bytes.back() ^= 1;
  auto reader = RecordReader::open(bytes, RecordKind::kTree, 10);
  ASSERT_TRUE(reader && reader->next() && reader->next());
  EXPECT_FALSE(reader->next());
  EXPECT_FALSE(reader->next());
}

}  // namespace
}  // namespace wherry::tree
