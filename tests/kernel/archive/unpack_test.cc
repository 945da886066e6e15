// Archives through the confined helper: what it keeps, what it bounds, how it ends.
#include "kernel/archive/tree_fixture.h"
#include "sys/sha256.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::compress;
using testing::TarBuilder;

class UnpackTest : public TreeFixture {
 protected:
  sys::Fd file_of(const std::string& bytes) {
    sys::Fd fd = new_file("archive" + std::to_string(++files_));
    EXPECT_TRUE(sys::write_all(fd.get(), bytes));
    rewind(fd);
    return fd;
  }
  Result<Unpacked> unpack(const std::string& bytes) {
    std::string tree = make_tree("tree" + std::to_string(++files_));
    sys::Fd tar = file_of(bytes), directory = open(tree);
    return run_unpack({.tar = tar.get(), .directory = directory.get()});
  }
  int files_ = 0;
};

TEST_F(UnpackTest, WhatTravelledIsDigestedToItsEnd) {
  std::string tar = TarBuilder().file("a", std::string(100'000, 'q')).bytes();
  for (const char* filter : {"gzip", "zstd"}) {
    std::string bytes = compress(tar, filter);
    Result<Unpacked> unpacked = unpack(bytes);
    ASSERT_TRUE(unpacked) << unpacked.error().message();
    EXPECT_EQ(unpacked->diff_id, sys::sha256(tar));
    EXPECT_EQ(unpacked->input, sys::sha256(bytes));
    EXPECT_EQ(unpacked->input_size, bytes.size());
    EXPECT_EQ(unpacked->blob, sys::sha256(bytes));
    EXPECT_EQ(unpacked->blob_size, bytes.size());
    EXPECT_EQ(compression_name(unpacked->blob_compression), filter);
  }
}

TEST_F(UnpackTest, SeveralRunAtOnceFromPipes) {
  std::string tar = TarBuilder().file("a", std::string(3000, 'q')).bytes();
  std::vector<sys::Pipe> pipes;
  std::vector<Unpacking> running;
  for (int i = 0; i < 4; ++i) {
    pipes.push_back(std::move(*sys::make_pipe()));
    sys::Fd directory = open(make_tree("t" + std::to_string(i)));
    running.push_back(std::move(
        *Unpacking::start({.tar = pipes.back().read.get(), .directory = directory.get()})));
    pipes.back().read.reset();
  }
  for (sys::Pipe& pipe : pipes) {
    ASSERT_TRUE(sys::write_all(pipe.write.get(), tar));
    pipe.write.reset();
  }
  for (Unpacking& one : running) {
    Result<Unpacked> unpacked = one.finish();
    ASSERT_TRUE(unpacked) << unpacked.error().message();
    EXPECT_EQ(unpacked->diff_id, sys::sha256(tar));
  }
}

TEST_F(UnpackTest, ARefusalDoesNotWaitForTheRestOfTheArchive) {
  sys::Pipe pipe = std::move(*sys::make_pipe());
  sys::Fd directory = open(make_tree("tree"));
  Result<Unpacking> unpacking =
      Unpacking::start({.tar = pipe.read.get(), .directory = directory.get()});
  ASSERT_TRUE(unpacking);
  // More than the tar reader looks at ahead; the pipe stays open.
  ASSERT_TRUE(sys::write_all(pipe.write.get(),
                             TarBuilder().file("../x").bytes() + std::string(64u << 10, '\0')));
  Result<Unpacked> unpacked = unpacking->finish();
  ASSERT_FALSE(unpacked);
  EXPECT_NE(unpacked.error().message().find("'..'"), std::string::npos);
}

TEST_F(UnpackTest, OneThatIsDroppedIsKilledAndReaped) {
  sys::Pipe pipe = std::move(*sys::make_pipe());
  sys::Fd directory = open(make_tree("tree"));
  {
    Result<Unpacking> unpacking =
        Unpacking::start({.tar = pipe.read.get(), .directory = directory.get()});
    ASSERT_TRUE(unpacking);
    EXPECT_NE(children(), "");
    Result<Unpacking> moved = std::move(unpacking);
    EXPECT_NE(children(), "");
  }
  EXPECT_EQ(children(), "");
}

TEST_F(UnpackTest, ZerosBehindTheEndAreBoundedInEveryFormat) {
  std::string bomb = TarBuilder().file("a").bytes() + std::string(280u << 20, '\0');
  for (const char* filter : {"gzip", "zstd"}) {
    Result<Unpacked> unpacked = unpack(compress(bomb, filter));
    ASSERT_FALSE(unpacked);
    EXPECT_EQ(unpacked.error().kind(), ErrorKind::kResourceExhausted);
    EXPECT_NE(unpacked.error().message().find("behind the archive's end"), std::string::npos);
  }
}

TEST_F(UnpackTest, ATruncatedStreamIsAnErrorThatSaysSo) {
  std::string noise;
  for (uint32_t state = 1; noise.size() < 700'000;)
    noise += static_cast<char>((state = state * 1103515245 + 12345) >> 24);
  std::string tar = TarBuilder().file("a", noise).bytes();
  for (const char* filter : {"gzip", "zstd", "bzip2", "xz"}) {
    std::string whole = compress(tar, filter);
    for (size_t cut : {size_t{1}, size_t{10}, whole.size() / 2}) {
      Result<Unpacked> unpacked = unpack(whole.substr(0, whole.size() - cut));
      ASSERT_FALSE(unpacked) << filter << " " << cut;
      EXPECT_EQ(unpacked.error().kind(), ErrorKind::kCorrupt) << unpacked.error().message();
    }
  }
}

}  // namespace
}  // namespace wherry::archive
