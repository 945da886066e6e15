// Layers through the real, confined wherry-unpack: objects and back.
#include "archive/objects_client.h"

#include "kernel/archive/tree_fixture.h"
#include "sys/sha256.h"
#include "tree/objects.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::compress;
using testing::TarBuilder;

class ObjectsTest : public TreeFixture {
 protected:
  std::string incoming(const std::string& name) {
    std::string path = make_tree(name);
    EXPECT_EQ(chmod(path.c_str(), 0700), 0);
    return path;
  }
  static std::string read(const std::string& path) {
    std::ifstream file(path, std::ios::binary);
    return std::string(std::istreambuf_iterator<char>(file), {});
  }
  Result<UnpackedObjects> unpack(const std::string& bytes, const std::string& directory,
                                 ObjectsJob job = {}) {
    sys::Fd tar = new_file("tar of " + std::filesystem::path(directory).filename().string());
    EXPECT_TRUE(sys::write_all(tar.get(), bytes));
    rewind(tar);
    sys::Fd in = open(directory);
    job.tar = tar.get();
    job.directory = in.get();
    return run_unpack_objects(job);
  }
  // Moves what was made to a store, as the engine does.
  void take(const std::string& directory, const std::string& store) {
    for (const auto& entry : std::filesystem::directory_iterator(directory + "/objects")) {
      std::string hex = entry.path().filename();
      std::filesystem::create_directories(store + "/" + hex.substr(0, 2));
      std::filesystem::rename(entry.path(), store + "/" + hex.substr(0, 2) + "/" + hex.substr(2));
      const timespec times[] = {{0, UTIME_OMIT}, {tree::kObjectTime, 0}};
      std::string path = store + "/" + hex.substr(0, 2) + "/" + hex.substr(2);
      ASSERT_EQ(utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    }
  }
};

TEST_F(ObjectsTest, ALayerBecomesObjectsAndComesBackInEveryCompression) {
  std::string tar = TarBuilder()
                        .file("a", "one")
                        .file("b", std::string(5'000'000, 'b'))
                        .add({.name = "dev", .type = '3', .major = 1, .minor = 3})
                        .bytes();
  std::string store = make_tree("store"), in = incoming("in");
  sys::Fd objects = open(store), blob = new_file("blob");
  Result<UnpackedObjects> unpacked =
      unpack(compress(tar, "gzip"), in, {.store = objects.get(), .blob = blob.get()});
  ASSERT_TRUE(unpacked) << unpacked.error().message();
  EXPECT_EQ(unpacked->layer.diff_id, sys::sha256(tar));
  EXPECT_EQ(unpacked->new_objects, 2u);
  EXPECT_EQ(unpacked->new_bytes, 5'000'003u);
  EXPECT_EQ(unpacked->record_entries, 3u);
  EXPECT_EQ(unpacked->layer.blob_compression, Compression::kGzip);
  take(in, store);
  for (Compression one : {Compression::kNone, Compression::kGzip, Compression::kZstd}) {
    std::string name = "out " + std::string(compression_name(one));
    sys::Fd out = new_file(name);
    sys::Fd recipe = std::move(*sys::open_file(in + "/recipe", O_RDONLY));
    Result<Rebuilt> rebuilt = run_rebuild(
        {.recipe = recipe.get(), .objects = objects.get(), .blob = out.get(), .compression = one});
    ASSERT_TRUE(rebuilt) << rebuilt.error().message();
    EXPECT_EQ(rebuilt->diff_id, sys::sha256(tar));
    EXPECT_EQ(rebuilt->tar_size, tar.size());
    std::string written = read(base_ + "/" + name);
    EXPECT_EQ(rebuilt->blob, sys::sha256(written));
    EXPECT_EQ(rebuilt->blob_size, written.size());
    EXPECT_TRUE(one != Compression::kNone || written == tar);
  }
  std::string again = incoming("again");
  Result<UnpackedObjects> known = unpack(tar, again, {.store = objects.get()});
  ASSERT_TRUE(known) << known.error().message();
  EXPECT_EQ(known->new_objects, 0u);
  EXPECT_EQ(known->record, unpacked->record);
  EXPECT_TRUE(std::filesystem::is_empty(again + "/objects"));
}

TEST_F(ObjectsTest, AFullDiskWhileTheBlobIsKeptIsAnError) {
  setenv("WHERRY_FAILPOINT", "archive.blob.write:enospc", 1);
  sys::Fd blob = new_file("blob");
  auto unpacked = unpack(compress(TarBuilder().file("a").bytes(), "gzip"), incoming("full"),
                         {.blob = blob.get()});
  ASSERT_FALSE(unpacked);
  EXPECT_EQ(unpacked.error().errnum(), ENOSPC) << unpacked.error().message();
}

TEST_F(ObjectsTest, PlainAndOldCompressionsAreKeptOnlyWhenTheirVeryBytesAreWanted) {
  std::string tar = TarBuilder().file("a", std::string(100'000, 'q')).bytes();
  for (const char* filter : {"none", "bzip2", "xz"})
    for (bool exact : {false, true}) {
      std::string bytes = std::string_view(filter) == "none" ? tar : compress(tar, filter);
      sys::Fd blob = new_file(std::string(filter) + (exact ? "1" : "0"));
      auto unpacked = unpack(bytes, incoming(std::string("kept-") + filter + (exact ? "1" : "0")),
                             {.blob = blob.get(), .exact = exact});
      ASSERT_TRUE(unpacked) << unpacked.error().message();
      EXPECT_EQ(unpacked->layer.diff_id, sys::sha256(tar));
      EXPECT_EQ(unpacked->layer.input, sys::sha256(bytes)) << filter;
      rewind(blob);
      EXPECT_TRUE(*sys::read_all(blob.get(), 1u << 20) == (exact ? bytes : "")) << filter;
    }
}

TEST_F(ObjectsTest, AFullDiskAndADeathAreErrors) {
  std::string tar = TarBuilder().file("a", "one").bytes();
  setenv("WHERRY_FAILPOINT", "archive.object.write:enospc", 1);
  Result<UnpackedObjects> full = unpack(tar, incoming("full"));
  ASSERT_FALSE(full);
  EXPECT_EQ(full.error().errnum(), ENOSPC) << full.error().message();
  setenv("WHERRY_FAILPOINT", "archive.objects.record:kill", 1);
  Result<UnpackedObjects> killed = unpack(tar, incoming("killed"));
  ASSERT_FALSE(killed);
  EXPECT_EQ(killed.error().message(), "wherry-unpack was killed by signal 9");
}

#ifdef WHERRY_SANITIZED
constexpr long kMostMemory = 400 << 10;  // KiB; what was freed is kept for a while
#else
constexpr long kMostMemory = 48 << 10;
#endif

TEST_F(ObjectsTest, ManyEntriesLieInAFileAndNotInMemory) {
  TarBuilder tar;
  for (int i = 0; i < 200'000; ++i)
    tar.file("d" + std::to_string(i % 100) + "/" + std::to_string(i), "");
  std::string bytes = compress(tar.bytes(), "zstd");
  std::string in = incoming("in");
  sys::Fd file = new_file("tar"), directory = open(in);
  ASSERT_TRUE(sys::write_all(file.get(), bytes));
  rewind(file);
  setenv("WHERRY_FAILPOINT", "archive.objects.record:stop", 1);
  Result<UnpackingObjects> unpacking =
      UnpackingObjects::start({.tar = file.get(), .directory = directory.get()});
  ASSERT_TRUE(unpacking);
  pid_t pid = std::stoi(children());
  siginfo_t info{};
  ASSERT_EQ(waitid(P_PID, static_cast<id_t>(pid), &info, WSTOPPED), 0);
  std::string status = read("/proc/" + std::to_string(pid) + "/status");
  size_t at = status.find("RssAnon:");
  ASSERT_NE(at, status.npos);
  EXPECT_LT(std::stol(status.substr(at + 8)), kMostMemory) << "KiB";
  EXPECT_EQ(status.find("CapEff:\t0000000000000000") == status.npos, false) << status;
  ASSERT_EQ(kill(pid, SIGCONT), 0);
  Result<UnpackedObjects> unpacked = unpacking->finish();
  ASSERT_TRUE(unpacked) << unpacked.error().message();
  EXPECT_EQ(unpacked->record_entries, 200'100u);
  EXPECT_FALSE(std::filesystem::exists(in + "/spill"));
}

}  // namespace
}  // namespace wherry::archive
