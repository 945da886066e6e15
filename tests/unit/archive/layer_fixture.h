// A store of one's own without root: tars become objects, records and recipes, and tars again.
#pragma once

#include <fcntl.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

#include <filesystem>
#include <fstream>
#include <iterator>
#include <map>
#include <string>

#include "archive/objects.h"
#include "archive/rebuild.h"
#include "archive/worker.h"
#include "base/text.h"
#include "scratch_directory.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "tree/objects.h"
#include "tree/record.h"

namespace wherry::archive {

inline sys::Fd file_of(const std::string& bytes) {
  sys::Fd fd(memfd_create("bytes", MFD_CLOEXEC));
  EXPECT_TRUE(sys::write_all(fd.get(), bytes));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

// What a record says, a line for each path: "f 0644 0:0 1000000000 3 'abc'".
class Layer {
 public:
  UnpackedObjects unpacked;
  std::map<std::string, std::string> lines;
  std::string record, recipe;

  std::string paths() const {
    std::string all;
    for (const auto& [path, line] : lines) all += (all.empty() ? "" : " ") + path;
    return all;
  }
  // Of a path: the first letters of its line.
  char type(const std::string& path) const {
    auto found = lines.find(path);
    return found == lines.end() ? '-' : found->second[0];
  }
};

class LayerFixture : public ::testing::Test {
 protected:
  void SetUp() override { std::filesystem::create_directory(base_ + "/objects"); }

  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  sys::Fd open(const std::string& name) {
    return std::move(*sys::open_file(base_ + "/" + name, O_RDONLY | O_DIRECTORY));
  }

  // As wherry-unpack and the store do it: new objects are moved among the others.
  Result<Layer> layer(const std::string& tar, UnpackRules rules = {}) {
    std::string incoming = "incoming" + std::to_string(++count_);
    std::filesystem::create_directory(base_ + "/" + incoming);
    sys::Fd in = file_of(tar), directory = open(incoming), store = open("objects");
    TRY(Worker worker, Worker::start());
    TRY(UnpackedObjects unpacked,
        unpack_objects(in.get(), directory.get(), store.get(), -1, std::move(worker), rules));
    Layer layer{.unpacked = unpacked, .lines = {}, .record = {}, .recipe = {}};
    std::string path = base_ + "/" + incoming;
    layer.record = read(path + "/tree");
    layer.recipe = read(path + "/recipe");
    take_objects(path + "/objects", unpacked);
    std::filesystem::remove(path + "/tree");
    std::filesystem::remove(path + "/recipe");
    std::filesystem::remove(path + "/objects");
    EXPECT_TRUE(std::filesystem::is_empty(path)) << "something else is left";
    describe(layer);
    return layer;
  }

  Result<Rebuilt> made_again(const Layer& layer, std::string* tar = nullptr) {
    sys::Fd recipe = file_of(layer.recipe), objects = open("objects"), blob = file_of("");
    TRY(Worker worker, Worker::start());
    TRY(Rebuilt rebuilt,
        rebuild(recipe.get(), objects.get(), Compression::kNone, blob.get(), std::move(worker)));
    lseek(blob.get(), 0, SEEK_SET);
    if (tar != nullptr) {
      TRY(*tar, sys::read_all(blob.get(), 1u << 30));
    }
    return rebuilt;
  }

  // The layer of a tar that must be taken, and that must come back byte for byte.
  Layer taken(const std::string& tar) {
    Result<Layer> made = layer(tar);
    EXPECT_TRUE(made) << made.error().message();
    if (!made) std::abort();
    std::string again;
    Result<Rebuilt> rebuilt = made_again(*made, &again);
    EXPECT_TRUE(rebuilt) << rebuilt.error().message();
    EXPECT_EQ(made->unpacked.layer.diff_id, sys::sha256(tar));
    EXPECT_TRUE(again == tar) << "the tar comes back different";
    return std::move(*made);
  }

  // As the store leaves objects.
  static void seal(const std::string& path) {
    const timespec times[] = {{0, UTIME_OMIT}, {tree::kObjectTime, 0}};
    ASSERT_EQ(chmod(path.c_str(), tree::kObjectMode), 0);
    ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
  }
  std::string object_path(const std::string& hex) const {
    return base_ + "/objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
  }
  std::string content(const tree::ObjectId& id) const { return read(object_path(to_hex(id))); }

  const ScratchDirectory scratch_;
  const std::string& base_ = scratch_.path();

 private:
  void take_objects(const std::string& from, const UnpackedObjects& unpacked) {
    uint64_t count = 0, bytes = 0;
    for (const auto& entry : std::filesystem::directory_iterator(from)) {
      std::string hex = entry.path().filename();
      EXPECT_EQ(sys::sha256(read(entry.path())).hex(), hex);
      ++count;
      bytes += entry.file_size();
      std::filesystem::create_directory(base_ + "/objects/" + hex.substr(0, 2));
      std::filesystem::rename(entry.path(), object_path(hex));
      seal(object_path(hex));
    }
    EXPECT_EQ(count, unpacked.new_objects);
    EXPECT_EQ(bytes, unpacked.new_bytes);
  }

  void describe(Layer& layer) {
    auto reader = tree::RecordReader::open(layer.record, tree::RecordKind::kLayer, 1 << 24);
    ASSERT_TRUE(reader) << reader.error().message();
    for (;;) {
      auto entry = reader->next();
      ASSERT_TRUE(entry) << entry.error().message();
      if (*entry == nullptr) return;
      layer.lines[std::string((*entry)->path)] = line_of(**entry);
    }
  }

  std::string line_of(const tree::Entry& entry) {
    char head[128];
    snprintf(head, sizeof head, "%c %04o %u:%u %lld.%09u",
             "?dflcbpsw"[static_cast<int>(entry.type)], entry.mode, entry.uid, entry.gid,
             static_cast<long long>(entry.mtime_s), entry.mtime_ns);
    std::string line = head;
    if (entry.opaque) line += " opaque";
    if (entry.inode != 0) line += " inode=" + std::to_string(entry.inode);
    if (entry.type == tree::Type::kSymlink) line += " -> " + std::string(entry.target);
    if (entry.type == tree::Type::kCharDevice || entry.type == tree::Type::kBlockDevice)
      line += " " + std::to_string(entry.device_major) + ":" + std::to_string(entry.device_minor);
    if (entry.type == tree::Type::kFile) {
      std::string data = entry.size > 0 ? content(entry.object) : "";
      EXPECT_EQ(data.size(), entry.size) << entry.path;
      line += " " + std::to_string(entry.size);
      if (data.size() <= 32) line += " '" + data + "'";
      if (data.size() > 32) line += " " + sys::sha256(data).hex().substr(0, 8);
    }
    for (const tree::Xattr& xattr : entry.xattrs)
      line += " " + std::string(xattr.name) + "=" + std::string(xattr.value);
    return line;
  }

  int count_ = 0;
};

}  // namespace wherry::archive
