// The ladder on a real kernel; and the same tree on every rung, as a container would see and change
// it.
#include "store/ladder.h"

#include <gtest/gtest.h>
#include <sys/mount.h>
#include <sys/utsname.h>

#include <cerrno>

#include "kernel/store/rich_tree.h"
#include "kernel/store/store_fixture.h"
#include "runtime/root.h"
#include "store/checkout.h"
#include "sys/file.h"
#include "sys/overlay.h"

namespace wherry::store {
namespace {

using testing::Tree;
using tree::RecordKind;
namespace fs = std::filesystem;

class LadderTest : public StoreFixture {
 protected:
  void SetUp() override {
    StoreFixture::SetUp();
    fs::create_directories(base_ + "/run");
    run_ = open_dir("run");
    places_.root = root_;
    places_.layers = open_dir("root/layers");
    places_.incoming = open_dir("root/incoming");
    places_.blobs = open_dir("root/blobs/sha256");
    places_.trees = open_dir("root/trees");
  }
  sys::Fd open_dir(const std::string& name) const {
    return sys::Fd(::open((base_ + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  Result<Rung> choose(std::optional<Rung> forced = {}) {
    return choose_rung(places_, *database_, run_.get(), forced);
  }
  // Where the kernel is older the caller says what it must come to.
  static Rung best_here() {
    const char* expected = getenv("WHERRY_EXPECTED_RUNG");
    return parse_rung(expected == nullptr ? "erofs" : expected).value();
  }
  std::string fact(const std::string& suffix = "") {
    for (const auto& entry : fs::directory_iterator(base_ + "/run")) {
      const std::string name = entry.path().filename();
      if (name.starts_with("rung-") && name.size() == 21 + suffix.size() && name.ends_with(suffix))
        return entry.path();
    }
    return "";
  }

  Places places_;
  sys::Fd run_;
};

TEST_F(LadderTest, TheBestThatWorksIsRememberedForThisKernelAndRoot) {
  const Rung best = best_here();
  const std::string best_name(rung_name(best));
  const Rung other = best == Rung::kFarm ? Rung::kReflink : Rung::kFarm;
  Result<Rung> rung = choose();
  ASSERT_TRUE(rung) << rung.error().message();
  EXPECT_EQ(*rung, best);
  utsname kernel{};
  uname(&kernel);
  const std::string text = std::string(kernel.release) + "\n" + root_ + "\n";
  EXPECT_EQ(content(fact()), text + best_name + "\n");
  // Believed as it is.
  std::ofstream(fact()) << text << rung_name(other) << "\n";
  EXPECT_EQ(choose().value_or(Rung::kLayers), other);
  // Not of another kernel, nor when it is nonsense.
  for (const std::string& useless :
       {"5.0\n" + root_ + "\nfarm\n", text + "nonsense\n", std::string()}) {
    std::ofstream(fact()) << useless;
    EXPECT_EQ(choose().value_or(Rung::kLayers), best);
    EXPECT_EQ(content(fact()), text + best_name + "\n");
  }
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(LadderTest, AForcedRungIsTakenWhereItWorks) {
  if (best_here() != Rung::kErofs) {
    Result<Rung> refused = choose(Rung::kErofs);
    ASSERT_FALSE(refused);
    EXPECT_EQ(refused.error().kind(), ErrorKind::kUnsupported);
    EXPECT_TRUE(
        refused.error().message().starts_with("storage-driver 'erofs' does not work here: "))
        << refused.error().message();
  }
  for (Rung rung : {Rung::kErofs, Rung::kFarm, Rung::kLayers}) {
    if (rung < best_here()) continue;
    EXPECT_EQ(choose(rung).value_or(Rung::kReflink), rung);
    EXPECT_NE(fact("-" + std::string(rung_name(rung))), "");
  }
  EXPECT_EQ(fact(), "") << "what is forced is not what is best";
}

TEST_F(LadderTest, AForcedRungThatDoesNotWorkIsAnErrorWithTheKernelsReason) {
  ASSERT_EQ(unshare(CLONE_NEWNS), 0);
  ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
  fs::create_directories(base_ + "/small/incoming");
  ASSERT_EQ(mount("tmpfs", (base_ + "/small").c_str(), "tmpfs", 0, nullptr), 0);
  fs::create_directories(base_ + "/small/incoming");
  places_.root = base_ + "/small";
  places_.incoming = open_dir("small/incoming");
  Result<Rung> rung = choose(Rung::kReflink);
  ASSERT_FALSE(rung);
  EXPECT_EQ(rung.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(rung.error().message(),
            "storage-driver 'reflink' does not work here: cannot make a file that shares another "
            "one's blocks: operation not supported");
  EXPECT_NE(rung.error().hint(), "");
  EXPECT_EQ(fact("-reflink"), "");
  EXPECT_TRUE(fs::is_empty(base_ + "/small/incoming"));
  // Without room nothing can be found out, and no worse rung is taken for it.
  ASSERT_EQ(mount("tmpfs", (base_ + "/small").c_str(), "tmpfs", MS_REMOUNT, "size=4k,nr_inodes=4"),
            0);
  rung = choose();
  ASSERT_FALSE(rung);
  EXPECT_EQ(rung.error().kind(), ErrorKind::kResourceExhausted) << rung.error().message();
  EXPECT_EQ(fact(), "");
  EXPECT_EQ(umount2((base_ + "/small").c_str(), MNT_DETACH), 0);
}

// What a container stands on, for each rung, made from one record.
class RungTest : public ::testing::TestWithParam<Rung> {
 protected:
  void SetUp() override {
    ASSERT_EQ(geteuid(), 0u) << "kernel tests need root";
    char pattern[] = "/tmp/wherry-rung-XXXXXX";
    ASSERT_NE(mkdtemp(pattern), nullptr);
    base_ = pattern;
    if (GetParam() == Rung::kReflink) mount_xfs();
    for (const char* name : {"/objects", "/farm", "/work", "/tree", "/upper", "/inner"})
      fs::create_directories(base_ + name);
    tree_ = testing::rich_tree();
    tree_.directory("top", {.mtime_ns = 1});
    tree_.file("top/file", std::string(100'000, 't'), {.mode = 0640, .uid = 12});
    tree_.write_objects(base_ + "/objects");
    ground();
  }
  void TearDown() override {
    mounted_.reset();
    if (GetParam() == Rung::kReflink) {
      EXPECT_EQ(umount2(base_.c_str(), MNT_DETACH), 0);
      fs::remove(base_ + ".disk");
    }
    fs::remove_all(base_);
  }

  void mount_xfs() {
    ASSERT_EQ(unshare(CLONE_NEWNS), 0);
    ASSERT_EQ(mount(nullptr, "/", nullptr, MS_REC | MS_PRIVATE, nullptr), 0);
    const std::string disk = base_ + ".disk";
    ASSERT_EQ(system(("truncate -s 320M " + disk + " && mkfs.xfs -q -m reflink=1 " + disk +
                      " && mount -o loop " + disk + " " + base_)
                         .c_str()),
              0);
  }
  sys::Fd open_dir(const std::string& name) const {
    return sys::Fd(::open((base_ + "/" + name).c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }

  void check_out_to(const Tree& tree, RecordKind kind, const std::string& name) {
    const std::string bytes = tree.record(kind);
    auto reader = tree::RecordReader::open(bytes, kind, 1'000'000);
    ASSERT_TRUE(reader) << reader.error().message();
    fs::create_directories(base_ + "/" + name);
    const sys::Fd root = open_dir(name), work = open_dir("work"), objects = open_dir("objects"),
                  farm = open_dir("farm");
    const FileWay way = GetParam() == Rung::kReflink ? FileWay::kReflink : FileWay::kFarm;
    OwnSpans spans(base_);
    spans.begin();
    Result<void> made = check_out(*reader, kind, way,
                                  {.root = root.get(),
                                   .work = work.get(),
                                   .objects = objects.get(),
                                   .farm = farm.get(),
                                   .spans = &spans});
    spans.keep();
    ASSERT_TRUE(made) << made.error().message();
    stack_.lower.insert(stack_.lower.begin(), base_ + "/" + name);
  }

  void write_image() {
    Result<void> written = tree_.write_image(base_ + "/image");
    ASSERT_TRUE(written) << written.error().message();
    stack_.metadata = base_ + "/image";
    stack_.objects = base_ + "/objects";
  }

  // Two layers whose sum is the tree: the lower has more that the upper takes away.
  void split_layers() {
    Tree below, above;
    for (const auto& [path, node] : tree_.nodes)
      (path == "odd" || path.starts_with("odd/") ? above : below).nodes[path] = node;
    below.file("gone", "whited out");
    below.directory("odd", {.mode = 0700});
    below.file("odd/old", "hidden by an opaque directory");
    above.nodes["odd"].opaque = true;
    above.nodes[""] = tree_.nodes[""];
    above.nodes["gone"] = {.type = tree::Type::kWhiteout};
    below.write_objects(base_ + "/objects");
    check_out_to(below, RecordKind::kLayer, "below");
    check_out_to(above, RecordKind::kLayer, "above");
  }

  void ground() {
    if (GetParam() == Rung::kErofs)
      write_image();
    else if (GetParam() == Rung::kLayers)
      split_layers();
    else
      check_out_to(tree_, RecordKind::kTree, "tree");
    stack();
  }

  // As the engine does for a container, on an upper that is empty.
  void stack() {
    stack_.upper = base_ + "/upper";
    stack_.work = base_ + "/inner";
    stack_.volatile_upper = true;
    const sys::Fd upper(open(stack_.upper.c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
    auto inherited = sys::inherit_lower_root(stack_.lower, stack_.metadata, upper.get());
    ASSERT_TRUE(inherited) << inherited.error().message();
    auto prepared = runtime::PreparedRoot::prepare(stack_);
    ASSERT_TRUE(prepared) << prepared.error().message();
    auto mounted = prepared->detached();
    ASSERT_TRUE(mounted) << mounted.error().message();
    mounted_ = std::move(*mounted);
  }
  void expect_tree() {
    const std::vector<std::string> found = Tree::walk(root()), promised = tree_.promised();
    ASSERT_EQ(found.size(), promised.size());
    for (size_t i = 0; i < found.size(); ++i) EXPECT_EQ(found[i], promised[i]);
  }
  int root() const { return mounted_.get(); }

  // Nothing in the upper that only this kernel on this machine would understand.
  void expect_whole_upper() {
    for (const auto& entry : fs::recursive_directory_iterator(base_ + "/upper"))
      for (const char* mark : {"trusted.overlay.metacopy", "trusted.overlay.redirect"})
        EXPECT_LT(lgetxattr(entry.path().c_str(), mark, nullptr, 0), 0)
            << entry.path() << " " << mark;
  }
  std::string upper_content(const std::string& name) const {
    std::ifstream file(base_ + "/upper/" + name, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }

  std::string base_;
  Tree tree_;
  runtime::RootSource stack_;
  sys::Fd mounted_;
};

TEST_P(RungTest, ShowsTheTreeThatTheRecordPromises) {
  expect_tree();
}

TEST_P(RungTest, EveryKindOfChangeCopiesUpTheWholeFile) {
  const std::string whole(100'000, 't');
  const auto in_upper = [&](const char* what, const std::string& name, const std::string& content) {
    EXPECT_TRUE(upper_content(name) == content) << what;
  };
  const auto path_of = [&](const std::string& name) {
    return "/proc/self/fd/" + std::to_string(root()) + "/" + name;
  };
  ASSERT_EQ(fchmodat(root(), "top/file", 0711, 0), 0);
  in_upper("chmod", "top/file", whole);
  ASSERT_EQ(fchownat(root(), "bin/busy", 99, 98, 0), 0);
  in_upper("chown", "bin/busy", std::string(300'000, 'b') + "usy");
  ASSERT_EQ(setxattr(path_of("bin/small").c_str(), "user.new", "1", 1, 0), 0);
  in_upper("xattr", "bin/small", "small");
  ASSERT_EQ(renameat(root(), "bin/twin1", root(), "bin/renamed"), 0);
  in_upper("rename", "bin/renamed", "twins");
  ASSERT_EQ(linkat(root(), "bin/twin2", root(), "bin/linked", 0), 0);
  in_upper("hard link", "bin/linked", "twins");
  {
    const sys::Fd file(openat(root(), "bin/twin3", O_WRONLY | O_APPEND | O_CLOEXEC));
    ASSERT_EQ(write(file.get(), "!", 1), 1);
  }
  in_upper("write", "bin/twin3", "twins!");
  ASSERT_EQ(truncate(path_of("bin/attributed").c_str(), 0), 0);
  in_upper("truncate", "bin/attributed", "");
  const timespec times[2] = {{5, 6}, {7, 8}};
  ASSERT_EQ(utimensat(root(), "bin/ping", times, 0), 0);
  in_upper("times", "bin/ping", "ping");
  EXPECT_EQ(lgetxattr((base_ + "/upper/bin/ping").c_str(), "security.capability", nullptr, 0), 20);
  // As on every overlay without redirects: programs copy it then.
  EXPECT_NE(renameat(root(), "odd", root(), "even"), 0);
  EXPECT_EQ(errno, EXDEV);
  ASSERT_EQ(mkdirat(root(), "fresh", 0700), 0);
  ASSERT_EQ(renameat(root(), "fresh", root(), "top/moved"), 0);
  ASSERT_EQ(unlinkat(root(), "etc/two", 0), 0);
  struct stat info{};
  ASSERT_EQ(lstat((base_ + "/upper/etc/two").c_str(), &info), 0);
  EXPECT_TRUE(S_ISCHR(info.st_mode) && info.st_rdev == 0);
  expect_whole_upper();
  // And nothing of it has come through to what everybody shares.
  for (const auto& entry : fs::recursive_directory_iterator(base_ + "/objects")) {
    if (!entry.is_regular_file()) continue;
    std::ifstream file(entry.path(), std::ios::binary);
    const std::string content(std::istreambuf_iterator<char>(file), {});
    EXPECT_EQ(entry.path().string().substr(base_.size() + 9),
              object_name(Tree::object_of(content)));
  }
}

TEST_P(RungTest, TheOldTreeIsThereAgainForTheNextContainer) {
  ASSERT_EQ(fchmodat(root(), "top/file", 0, 0), 0);
  ASSERT_EQ(unlinkat(root(), "bin/busy", 0), 0);
  mounted_.reset();
  fs::remove_all(base_ + "/upper");
  fs::remove_all(base_ + "/inner");
  fs::create_directories(base_ + "/upper");
  fs::create_directories(base_ + "/inner");
  stack();
  expect_tree();
}

INSTANTIATE_TEST_SUITE_P(Ladder, RungTest, ::testing::ValuesIn(kRungs),
                         [](const auto& rung) { return std::string(rung_name(rung.param)); });

}  // namespace
}  // namespace wherry::store
