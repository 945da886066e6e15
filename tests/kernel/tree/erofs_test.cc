// EROFS images as the kernel shows them, alone and under overlay with objects, beside their source
// and beside what composefs' own tool makes of it.
#include <sys/wait.h>

#include "kernel/tree/disk.h"
#include "sys/erofs_root.h"
#include "tree/erofs_writer.h"

namespace wherry::tree {
namespace {

using namespace testing;

class ErofsMount : public DiskFixture {
 protected:
  void write_image(const std::string& path, const std::vector<Node>& nodes) {
    const std::string tree = record(RecordKind::kTree, nodes);
    auto reader = RecordReader::open(tree, RecordKind::kTree, 1'000'000);
    auto fd = sys::open_file(path, O_RDWR | O_CREAT | O_TRUNC);
    const auto size = write_erofs(
        [&]() -> Result<Entries> {
          reader->rewind();
          return entries_of(*reader);
        },
        [&](uint64_t offset, std::string_view bytes) -> Result<void> {
          EXPECT_EQ(pwrite(fd->get(), bytes.data(), bytes.size(), static_cast<off_t>(offset)),
                    static_cast<ssize_t>(bytes.size()));
          return {};
        });
    ASSERT_TRUE(size) << size.error().message();
    struct stat info{};
    ASSERT_EQ(fstat(fd->get(), &info), 0);
    EXPECT_EQ(static_cast<uint64_t>(info.st_size), *size);
  }

  std::string mount_image(const std::string& image, const std::string& name) {
    auto erofs = sys::Filesystem::open("erofs");
    EXPECT_TRUE(erofs) << erofs.error().message();
    EXPECT_TRUE(erofs->set("source", image));
    EXPECT_TRUE(erofs->set_flag("ro"));
    return attach(erofs->mount(MOUNT_ATTR_RDONLY), name);
  }

  void add_object(const std::string& objects, std::string_view content) {
    const std::string hex = sys::sha256(content).hex();
    const std::string path = folder(objects + "/" + hex.substr(0, 2)) + "/" + hex.substr(2);
    write_whole(path, content);
    ASSERT_EQ(chmod(path.c_str(), 0444), 0);
  }
  // The objects' folder for what is on disk at `source`.
  std::string objects_of(const std::vector<Node>& nodes, const std::string& source) {
    for (const Node& node : nodes)
      if (node.size > 0) add_object("objects", read_whole(source + "/" + node.path));
    return folder("objects");
  }
  void expect_same(const std::vector<Node>& ours, const std::vector<Node>& theirs) {
    for (size_t i = 0; i < std::max(ours.size(), theirs.size()); ++i) {
      ASSERT_LT(i, ours.size()) << theirs[i].path;
      ASSERT_LT(i, theirs.size()) << ours[i].path;
      ASSERT_EQ(ours[i], theirs[i]);
    }
  }
};

struct stat info_of(const std::string& path) {
  struct stat info{};
  EXPECT_EQ(lstat(path.c_str(), &info), 0) << path;
  return info;
}

// A file capability as cap_setfcap would write it: version 2, effective, CAP_NET_BIND_SERVICE.
const std::string kCapability(
    "\x01\x00\x00\x02\x00\x04\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00\x00", 20);

TEST_F(ErofsMount, UnderOverlayWithTheObjectsIsTheWholeSourceTree) {
  for (uint64_t seed = 1; seed <= 12; ++seed) {
    Dice dice(seed);
    const std::string place = std::to_string(seed);
    const std::string source = folder(place + "/source");
    make_tree(source, small(random_nodes(dice, false, 400)));
    write_whole(source + "/with-capability", "program");
    ASSERT_EQ(lsetxattr((source + "/with-capability").c_str(), "security.capability",
                        kCapability.data(), kCapability.size(), 0),
              0);
    if (HasFatalFailure()) return;
    const std::vector<Node> nodes = Walker(source).walk();
    write_image(base_ + "/" + place + "/image", nodes);
    const std::string image = mount_image(base_ + "/" + place + "/image", place + "/image-mount");
    const std::string tree = mount_overlay(place + "/tree", {image}, objects_of(nodes, source), "");
    expect_same(Walker(tree).walk(), nodes);
    for (const Node& node : nodes)
      EXPECT_EQ(info_of(image + "/" + node.path).st_nlink,
                info_of(source + "/" + node.path).st_nlink)
          << node.path;
    if (HasFailure()) FAIL() << "seed " << seed;
  }
}

TEST_F(ErofsMount, ExtremesOfEveryFieldAreShown) {
  Node early = directory("early");
  early.mtime_s = -62135596800;  // the year 1
  early.mtime_ns = 999'999'999;
  early.uid = 0xfffffffe;
  early.gid = 0x80000000;
  early.mode = 07777;
  Node late = directory("late");
  late.mtime_s = 253402300799;  // the year 9999
  Node big = file("big", 5ull << 30, 0xab);
  Node many = file("many");
  for (int i = 0; i < 128; ++i)
    many.xattrs.emplace_back("user." + std::to_string(100 + i) + std::string(150, 'n'),
                             std::string(600, 'v'));
  Node value = file("value");
  value.xattrs = {{"user.value", std::string(65535, 'x')}};
  std::vector<Node> nodes = {
      directory(""),
      big,
      early,
      late,
      many,
      symlink("t", std::string(4095, 't')),
      value,
      {.path = "z", .type = Type::kBlockDevice, .device_major = 4095, .device_minor = 0xfffff}};
  write_image(base_ + "/image", nodes);
  const std::string hex = to_hex(big.object);
  const std::string object = folder("objects/" + hex.substr(0, 2)) + "/" + hex.substr(2);
  write_whole(object, "begin");
  ASSERT_EQ(truncate(object.c_str(), 5ll << 30), 0);
  const std::string tree = mount_overlay("tree", {mount_image(base_ + "/image", "image-mount")},
                                         folder("objects"), "container");

  EXPECT_EQ(info_of(tree + "/big").st_size, 5ll << 30);
  auto fd = sys::open_file(tree + "/big", O_RDONLY);
  char bytes[5];
  ASSERT_EQ(pread(fd->get(), bytes, 5, 0), 5);
  EXPECT_EQ(std::string(bytes, 5), "begin");
  ASSERT_EQ(pread(fd->get(), bytes, 5, (5ll << 30) - 5), 5);
  std::filesystem::remove(object);  // its 5 GiB are not for the walk
  nodes.erase(nodes.begin() + 1);
  write_image(base_ + "/small", nodes);
  const std::string small = mount_overlay(
      "small-tree", {mount_image(base_ + "/small", "small-mount")}, folder("objects"), "");
  expect_same(Walker(small).walk(), nodes);
}

TEST_F(ErofsMount, TheRootIsReadAsAMountShowsIt) {
  Node root = directory("");
  root.mode = 01770;
  root.uid = 0xfffffffe;
  root.gid = 7;
  root.mtime_s = -62135596800;
  root.mtime_ns = 999'999'999;
  const std::vector<Node> below = {directory("a"), file("b", 12)};
  write_image(base_ + "/plain", {root, below[0], below[1]});
  const auto read = sys::erofs_root(base_ + "/plain");
  ASSERT_TRUE(read) << read.error().message();
  ASSERT_TRUE(*read);
  const struct stat shown = info_of(mount_image(base_ + "/plain", "plain-mount"));
  EXPECT_EQ((*read)->st_mode, shown.st_mode);
  EXPECT_EQ((*read)->st_uid, shown.st_uid);
  EXPECT_EQ((*read)->st_gid, shown.st_gid);
  EXPECT_EQ((*read)->st_mtim.tv_sec, shown.st_mtim.tv_sec);
  EXPECT_EQ((*read)->st_mtim.tv_nsec, shown.st_mtim.tv_nsec);

  root.xattrs = {{"user.note", "x"}};
  write_image(base_ + "/rich", {root, below[0], below[1]});
  const auto rich = sys::erofs_root(base_ + "/rich");
  ASSERT_TRUE(rich) << rich.error().message();
  EXPECT_FALSE(*rich) << "only a mount shows attributes";

  write_whole(base_ + "/short", read_whole(base_ + "/plain").substr(0, 4096));
  EXPECT_EQ(sys::erofs_root(base_ + "/short").error().kind(), ErrorKind::kCorrupt);
  write_whole(base_ + "/other", std::string(8192, 'x'));
  EXPECT_EQ(sys::erofs_root(base_ + "/other").error().kind(), ErrorKind::kCorrupt);
}

TEST_F(ErofsMount, AHundredThousandNamesAreListedAndFound) {
  std::vector<Node> nodes = {directory(""), directory("many")};
  for (int i = 0; i < 100'000; ++i)
    nodes.push_back(file("many/name" + std::to_string(1'000'000 + i * 7)));
  write_image(base_ + "/image", nodes);
  const std::string image = mount_image(base_ + "/image", "image-mount");
  size_t listed = 0;
  for (const auto& entry : std::filesystem::directory_iterator(image + "/many"))
    listed += entry.is_regular_file();
  EXPECT_EQ(listed, 100'000u);
  for (size_t i = 2; i < nodes.size(); i += 97)
    EXPECT_EQ(access((image + "/" + nodes[i].path).c_str(), F_OK), 0);
  EXPECT_NE(access((image + "/many/name1000001").c_str(), F_OK), 0);
}

TEST_F(ErofsMount, WhatAContainerChangesIsWholeInItsUpper) {
  const std::string source = folder("source");
  make_tree(source, {directory(""), file("mode", 3000, 1), file("moved", 20, 2),
                     link_of("one", 1, 7), link_of("two", 1, 7)});
  write_whole(source + "/program", "program");
  ASSERT_EQ(
      lsetxattr((source + "/program").c_str(), "security.capability", kCapability.data(), 20, 0),
      0);
  const std::vector<Node> nodes = Walker(source).walk();
  write_image(base_ + "/image", nodes);
  const std::string tree = mount_overlay("tree", {mount_image(base_ + "/image", "image-mount")},
                                         objects_of(nodes, source), "container");
  const std::string upper = base_ + "/container/upper";
  ASSERT_EQ(chmod((tree + "/mode").c_str(), 0600), 0);
  ASSERT_EQ(rename((tree + "/moved").c_str(), (tree + "/elsewhere").c_str()), 0);
  ASSERT_EQ(link((tree + "/one").c_str(), (tree + "/three").c_str()), 0);
  const timespec now[2] = {{.tv_nsec = UTIME_NOW}, {.tv_nsec = UTIME_NOW}};
  ASSERT_EQ(utimensat(AT_FDCWD, (tree + "/program").c_str(), now, 0), 0);
  EXPECT_EQ(read_whole(upper + "/mode"), read_whole(source + "/mode"));
  EXPECT_EQ(read_whole(upper + "/elsewhere"), read_whole(source + "/moved"));
  EXPECT_EQ(read_whole(upper + "/three"), read_whole(source + "/one"));
  for (const char* name : {"/mode", "/elsewhere", "/three"}) {
    EXPECT_LT(lgetxattr((upper + name).c_str(), "trusted.overlay.metacopy", nullptr, 0), 0) << name;
    EXPECT_LT(lgetxattr((upper + name).c_str(), "trusted.overlay.redirect", nullptr, 0), 0) << name;
  }
  EXPECT_EQ(lgetxattr((upper + "/program").c_str(), "security.capability", nullptr, 0), 20);
}

TEST_F(ErofsMount, TheTreeIsTheOneOfComposefsOwnTool) {
  Dice dice(11);
  const std::string source = folder("source");
  make_tree(source, small(random_nodes(dice, false, 400)));
  if (HasFatalFailure()) return;
  const std::vector<Node> nodes = Walker(source).walk();
  write_image(base_ + "/image", nodes);
  const std::string ours = mount_overlay("ours", {mount_image(base_ + "/image", "our-image")},
                                         objects_of(nodes, source), "");
  folder("their-objects");
  const std::string peers =
      std::filesystem::path(WHERRY_TEST_DATA "/../../../harness/peers.py").lexically_normal();
  const std::string command =
      "python3 '" + peers + "' sid '" + base_ +
      "' mkcomposefs --digest-store=/peer/their-objects /peer/source /peer/their-file";
  ASSERT_EQ(std::system(command.c_str()), 0);
  const std::string theirs = mount_overlay(
      "theirs", {mount_image(base_ + "/their-file", "their-image")}, folder("their-objects"), "");
  // Of a directory, mkcomposefs makes a file of each name.
  const auto without_links = [](std::vector<Node> found) {
    for (Node& node : found) node.inode = 0;
    return found;
  };
  expect_same(without_links(Walker(ours).walk()), without_links(Walker(theirs).walk()));
}

}  // namespace
}  // namespace wherry::tree
