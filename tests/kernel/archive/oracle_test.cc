// The tree in memory against the kernel: the same entries as files in a directory give the same.
#include <random>

#include "archive/layer_tree_sink.h"
#include "archive/tree_writer.h"
#include "base/text.h"
#include "kernel/archive/tree_fixture.h"
#include "sys/sha256.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::TarBuilder;

class OracleTest : public TreeFixture {
 protected:
  using Lines = std::map<std::string, std::string>;

  static std::string line(char type, unsigned mode, unsigned uid, unsigned gid, long long mtime) {
    char text[96];
    snprintf(text, sizeof text, "%c %04o %u:%u %lld", type, mode, uid, gid, mtime);
    return text;
  }

  // What the record says; files by the digest of their content, several names by the first.
  Result<Lines> recorded(const std::string& tar) {
    sys::Fd scratch = open(base_);
    TRY(std::unique_ptr<LayerTree> tree, LayerTree::open(scratch.get(), 10'000));
    TRY_VOID(into(*tree, tar));
    std::string record;
    tree::RecordWriter writer(tree::RecordKind::kLayer, [&](std::string_view part) {
      record += part;
      return Result<void>();
    });
    TRY_VOID(tree->write(writer));
    TRY_VOID(writer.finish());
    TRY(tree::RecordReader reader,
        tree::RecordReader::open(record, tree::RecordKind::kLayer, 1 << 20));
    Lines lines;
    std::map<uint32_t, std::string> first;
    for (;;) {
      TRY(const tree::Entry* entry, reader.next());
      if (entry == nullptr) return lines;
      std::string path(entry->path);
      std::string text = line("?dflcbpsw"[static_cast<int>(entry->type)], entry -> mode,
                              entry -> uid, entry -> gid, entry -> mtime_s);
      if (entry->type == tree::Type::kWhiteout) text = "w";
      if (entry->type == tree::Type::kSymlink) text += " " + std::string(entry->target);
      if (entry->type == tree::Type::kFile && entry->size > 0) text += " " + to_hex(entry->object);
      if (entry->opaque) text += " opaque";
      if (entry->inode != 0) text += " as " + first.try_emplace(entry->inode, path).first->second;
      lines[path] = text;
    }
  }

  // LayerTree as a sink that keeps contents nowhere.
  class Sink;
  Result<void> into(LayerTree& tree, const std::string& tar);

  // What the directory holds. Directories that were made in passing have no time of their own.
  static Lines found(const std::string& root, const Lines& others) {
    Lines lines;
    std::map<ino_t, std::string> first;
    std::map<std::string, struct stat> sorted;
    for (const auto& entry : std::filesystem::recursive_directory_iterator(root)) {
      struct stat info{};
      EXPECT_EQ(lstat(entry.path().c_str(), &info), 0);
      sorted[entry.path().string().substr(root.size() + 1)] = info;
    }
    std::map<std::vector<std::string_view>, std::string> in_order;
    for (const auto& [path, info] : sorted) in_order[split(path, '/')] = path;
    for (const auto& [parts, path] : in_order) {
      const struct stat& info = sorted[path];
      auto other = others.find(path);
      bool passing = S_ISDIR(info.st_mode) && other != others.end() &&
                     other->second.starts_with("d 0755 0:0 0");
      char type = S_ISDIR(info.st_mode)   ? 'd'
                  : S_ISREG(info.st_mode) ? 'f'
                  : S_ISLNK(info.st_mode) ? 'l'
                  : S_ISCHR(info.st_mode) ? 'c'
                  : S_ISBLK(info.st_mode) ? 'b'
                                          : 'p';
      std::string full = root + "/" + path;
      std::string text = line(type, info.st_mode & 07777, info.st_uid, info.st_gid,
                              passing ? 0 : info.st_mtim.tv_sec);
      if (type == 'c' && info.st_rdev == 0) text = "w";
      if (type == 'l') text += " " + std::filesystem::read_symlink(full).string();
      if (type == 'f' && info.st_size > 0) {
        std::ifstream file(full, std::ios::binary);
        text += " " + sys::sha256(std::string(std::istreambuf_iterator<char>(file), {})).hex();
      }
      if (getxattr(full.c_str(), "trusted.overlay.opaque", nullptr, 0) == 1 && type == 'd')
        text += " opaque";
      if (type != 'd' && text != "w" && info.st_nlink > 1)
        text += " as " + first.try_emplace(info.st_ino, path).first->second;
      lines[path] = text;
    }
    return lines;
  }
};

class OracleTest::Sink : public LayerTreeSink {
 public:
  explicit Sink(LayerTree& tree) : LayerTreeSink(tree) {}
  Result<void> begin_file(const std::string& path, uint64_t, bool) override {
    path_ = path;
    content_.clear();
    return {};
  }
  Result<void> write(std::string_view bytes, uint64_t) override {
    content_ += bytes;
    return {};
  }
  Result<void> end_file(const Metadata& metadata) override {
    sys::Sha256 hash;
    hash.update(content_);
    return tree().file(path_, metadata, content_.size(), hash.finish_bytes());
  }

 private:
  std::string path_, content_;
};

Result<void> OracleTest::into(LayerTree& tree, const std::string& tar) {
  Sink sink(tree);
  return unpack_bytes(sink, tar, {});
}

// Few names, so that entries meet: files, directories and links in each other's place and way.
class RandomTar {
 public:
  explicit RandomTar(unsigned seed) : random_(seed) {}

  std::string bytes() {
    int count = 2 + static_cast<int>(pick(9));
    for (int i = 0; i < count; ++i) add();
    return tar_.bytes();
  }

 private:
  size_t pick(size_t count) { return random_() % count; }
  std::string path() {
    static const char* const kNames[] = {"a", "b", "c"};
    std::string path = kNames[pick(3)];
    while (pick(3) > 0 && path.size() < 8) path += std::string("/") + kNames[pick(3)];
    return path;
  }
  std::string target() {
    static const char* const kAbove[] = {"", "/", "../", "../../", "./"};
    std::string target = kAbove[pick(5)] + path();
    if (pick(5) == 0) target += "/..";
    return target;
  }
  void add() {
    unsigned uid = static_cast<unsigned>(pick(3));
    long mtime = 1 + static_cast<long>(pick(1000));
    unsigned mode = static_cast<unsigned>(random_() & 07777);
    switch (pick(10)) {
      case 0:
      case 1:
        // Without setgid, which the kernel hands on to directories that are made in passing.
        mode &= ~02000U;
        tar_.add({.name = path(), .type = '5', .mode = mode, .uid = uid, .mtime = mtime});
        return;
      case 2:
      case 3:
        tar_.add({.name = path(), .type = '2', .link = target(), .uid = uid, .mtime = mtime});
        return;
      case 4:
        tar_.hard_link(path(), path());
        return;
      case 6:
        tar_.add({.name = path(), .type = '6', .mode = mode, .uid = uid, .mtime = mtime});
        return;
      case 7:
        // Of names that nothing else has: what a whiteout means to its own layer is another test's.
        tar_.add({.name = path() + "/.wh.w" + std::to_string(pick(3))});
        return;
      default:
        tar_.add({.name = path(),
                  .data = std::string(pick(3), 'x') + std::to_string(random_()),
                  .mode = mode,
                  .uid = uid,
                  .mtime = mtime});
    }
  }

  std::mt19937 random_;
  TarBuilder tar_;
};

TEST_F(OracleTest, EntriesInMemoryDoWhatTheyDoOnADirectory) {
  // As the helper: modes are what the archive says.
  mode_t before = umask(0);
  int taken = 0;
  for (unsigned seed = 1; seed <= 700; ++seed) {
    std::string tar = RandomTar(seed).bytes();
    std::string root = make_tree("tree");
    Result<Lines> lines = recorded(tar);
    Result<void> written;
    {
      sys::Fd directory = open(root);
      TreeWriter writer(directory.get());
      written = unpack_bytes(writer, tar, {});
    }
    ASSERT_EQ(lines.has_value(), written.has_value())
        << seed << ": " << (lines ? written.error().message() : lines.error().message());
    if (lines) {
      ++taken;
      ASSERT_EQ(*lines, found(root, *lines)) << seed;
    } else {
      EXPECT_EQ(lines.error().kind(), written.error().kind()) << lines.error().message();
    }
    std::filesystem::remove_all(root);
  }
  umask(before);
  EXPECT_GT(taken, 100) << "most tars are refused: they say little";
}

}  // namespace
}  // namespace wherry::archive
