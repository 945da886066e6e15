
#include "archive/tar_reader.h"

#include <gtest/gtest.h>
#include <sys/mman.h>

#include "archive/layer_source.h"
#include "archive/tree_sink.h"
#include "sys/fd.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::compress;
using testing::TarBuilder;

sys::Fd file_of(const std::string& bytes) {
  sys::Fd fd(memfd_create("tar", MFD_CLOEXEC));
  EXPECT_TRUE(sys::write_all(fd.get(), bytes));
  lseek(fd.get(), 0, SEEK_SET);
  return fd;
}

struct Read {
  std::vector<std::string> names;
  Result<TarReader::Summary> end;
  LayerSource::Summary source;
};

// `block`: how much is asked for at a time.
Read read_whole(const std::string& bytes, int blob = -1, size_t block = 100'000) {
  sys::Fd fd = file_of(bytes);
  LayerSource source(fd.get(), blob);
  std::string buffer(block, '\0');
  TarReader reader([&]() -> Result<std::string_view> {
    TRY(size_t size, source.read(buffer));
    return std::string_view(buffer.data(), size);
  });
  Read read{{}, Error(ErrorKind::kInternal, "not reached"), {}};
  for (;;) {
    Result<const TarMember*> entry = reader.next();
    if (!entry) {
      read.end = std::move(entry.error());
      return read;
    }
    if (*entry == nullptr) break;
    read.names.emplace_back((*entry)->path);
  }
  read.end = reader.finish();
  read.source = source.finish();
  return read;
}

TEST(TarReader, HashesTheExactUncompressedBytesWhateverTheCompression) {
  std::string tar = TarBuilder().file("a", std::string(5000, 'q')).directory("d").bytes() +
                    std::string(9 * 512, '\0');
  for (const char* filter : {"none", "gzip", "bzip2", "xz", "zstd"}) {
    std::string bytes = std::string_view(filter) == "none" ? tar : compress(tar, filter);
    Read read = read_whole(bytes);
    ASSERT_TRUE(read.end) << filter << ": " << read.end.error().message();
    EXPECT_EQ(read.names, (std::vector<std::string>{"a", "d"})) << filter;
    EXPECT_EQ(read.end->digest, sys::sha256(tar)) << filter;
    EXPECT_EQ(read.end->bytes, tar.size()) << filter;
  }
}

TEST(TarReader, TheDigestCoversWhatFollowsTheEndMark) {
  std::string tar = TarBuilder().file("a").bytes();
  std::string longer = tar + std::string(512, 'j') + std::string(512, '\0');
  Read read = read_whole(longer);
  ASSERT_TRUE(read.end);
  EXPECT_EQ(read.end->digest, sys::sha256(longer));
}

TEST(TarReader, AnEmptyArchiveIsAnArchive) {
  Read read = read_whole(std::string(10240, '\0'));
  ASSERT_TRUE(read.end) << read.end.error().message();
  EXPECT_TRUE(read.names.empty());
}

TEST(TarReader, EmptyInputAndGarbageAreNoTar) {
  std::string noise;
  for (int i = 0; i < 4000; ++i) noise += static_cast<char>(i * 7919 >> 3);
  for (const std::string& bytes :
       {std::string(), std::string("hello"), noise, std::string("PK\x03\x04 a zip"),
        compress("hello", "gzip"), compress(noise, "zstd"), compress("", "gzip")}) {
    Read read = read_whole(bytes);
    ASSERT_FALSE(read.end) << bytes.size();
    EXPECT_EQ(read.end.error().kind(), ErrorKind::kCorrupt);
    EXPECT_NE(read.end.error().message().find("not a tar archive"), std::string::npos)
        << read.end.error().message();
  }
}

TEST(TarReader, EveryTruncationIsSeen) {
  std::string tar =
      TarBuilder().file("a", std::string(1500, 'q')).file("b", "end").bytes_without_end();
  for (size_t size = 1; size <= tar.size(); size += 97)
    EXPECT_FALSE(read_whole(tar.substr(0, size)).end) << size;
  EXPECT_FALSE(read_whole(tar).end);
  std::string packed = compress(tar + std::string(1024, '\0'), "gzip");
  EXPECT_TRUE(read_whole(packed).end);
  EXPECT_FALSE(read_whole(packed.substr(0, packed.size() / 2)).end);
}

TEST(TarReader, AFlippedBitInCompressedDataIsRefused) {
  std::string noise;
  uint32_t state = 1;
  for (int i = 0; i < 20000; ++i)
    noise += static_cast<char>((state = state * 1103515245 + 12345) >> 24);
  std::string tar = TarBuilder().file("a", noise).bytes();
  // Not zstd: this writer leaves its checksum out, as the format allows.
  for (const char* filter : {"gzip", "bzip2", "xz"}) {
    std::string whole = compress(tar, filter);
    ASSERT_TRUE(read_whole(whole).end) << filter;
    std::string flipped = whole;
    flipped[10000] ^= 1;  // within the file's bytes: noise is stored as it is
    EXPECT_FALSE(read_whole(flipped).end) << filter;
  }
  std::string whole = compress(tar, "gzip");
  for (size_t behind = 1; behind <= 8; ++behind) {
    std::string flipped = whole;
    flipped[whole.size() - behind] ^= 1;  // the length, the checksum
    EXPECT_FALSE(read_whole(flipped).end) << behind;
    EXPECT_FALSE(read_whole(whole.substr(0, whole.size() - behind)).end) << behind;
  }
}

TEST(TarReader, GzipMayHaveManyMembersAndPaddingButNoGarbage) {
  std::string tar = TarBuilder().file("a", std::string(5000, 'q')).bytes();
  std::string members = compress(tar.substr(0, 700), "gzip") + compress("", "gzip") +
                        compress(tar.substr(700), "gzip");
  Read read = read_whole(members + std::string(300'000, '\0'));
  ASSERT_TRUE(read.end) << read.end.error().message();
  EXPECT_EQ(read.end->digest, sys::sha256(tar));
  EXPECT_FALSE(read_whole(members + "garbage").end);
  EXPECT_FALSE(read_whole(members + std::string(512, '\0') + "garbage").end);
  EXPECT_FALSE(read_whole(members + members.substr(0, 5)).end);
}

TEST(TarReader, ADamagedHeaderIsRefused) {
  std::string tar = TarBuilder().file("a").file("b").bytes();
  tar[1024 + 3] ^= 1;  // the second header's name: its checksum is wrong now
  EXPECT_FALSE(read_whole(tar).end);
}

TEST(TarReader, NamesAreBytes) {
  std::string latin = "caf\xe9";
  std::string decomposed = "e\xcc\x81";
  std::string tar = TarBuilder()
                        .file(latin)
                        .file(decomposed)
                        .add({.name = "short", .pax = {{"path", decomposed + "2"}}})
                        .bytes();
  EXPECT_EQ(read_whole(tar).names, (std::vector<std::string>{latin, decomposed, decomposed + "2"}));
}

TEST(ShownName, EscapesWhatWouldMoveACursor) {
  EXPECT_EQ(shown("a\nb\x1b[2J\\"), "a\\x0ab\\x1b[2J\\\\");
  EXPECT_LT(shown(std::string(10000, 'a')).size(), 300u);
}

}  // namespace
}  // namespace wherry::archive
