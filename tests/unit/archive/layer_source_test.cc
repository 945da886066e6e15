// What comes through a layer's stream, in whatever pieces, and what is kept of it.
#include "archive/layer_source.h"

#include <gtest/gtest.h>
#include <sys/mman.h>
#include <sys/socket.h>

#include <thread>

#include "archive/compressor.h"
#include "sys/fd.h"
#include "sys/sha256.h"
#include "unit/archive/tar_builder.h"

namespace wherry::archive {
namespace {

using testing::compress;

std::string noise(size_t size) {
  std::string bytes;
  uint32_t state = 1;
  while (bytes.size() < size)
    bytes += static_cast<char>((state = state * 1103515245 + 12345) >> 24);
  return bytes;
}

std::string zstd_with_checksum(const std::string& data) {
  sys::Fd fd(memfd_create("zstd", MFD_CLOEXEC));
  BlobWriter blob(fd.get());
  auto compressor = Compressor::open(Compression::kZstd, blob);
  EXPECT_TRUE((*compressor)->write(data));
  EXPECT_TRUE((*compressor)->finish());
  lseek(fd.get(), 0, SEEK_SET);
  return *sys::read_all(fd.get(), 1u << 30);
}

Result<std::string> drain(LayerSource& source, size_t block) {
  std::string out, buffer(block, '\0');
  for (;;) {
    TRY(size_t size, source.read(buffer));
    if (size == 0) return out;
    out.append(buffer, 0, size);
  }
}

// `packet`: the input arrives in pieces of this size.
Result<std::string> decoded(const std::string& bytes, size_t packet = 1u << 16,
                            size_t block = 70'000) {
  int pair[2];
  EXPECT_EQ(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, pair), 0);
  sys::Fd reader(pair[0]);
  std::thread writer([&bytes, packet, fd = pair[1]] {
    for (size_t at = 0; at < bytes.size(); at += packet)
      if (send(fd, bytes.data() + at, std::min(packet, bytes.size() - at), MSG_NOSIGNAL) < 0) break;
    close(fd);
  });
  Result<std::string> out = [&] {
    LayerSource source(reader.get(), -1);
    return drain(source, block);
  }();
  reader.reset();
  writer.join();
  return out;
}

TEST(LayerSource, PiecesOfAnySizeGiveTheSameBytes) {
  std::string text = std::string(3000, 'q') + noise(400) + std::string(900, 'z');
  std::string members = compress(text.substr(0, 1000), "gzip") + compress("", "gzip") +
                        compress(text.substr(1000), "gzip") + std::string(20, '\0');
  std::string frames =
      zstd_with_checksum(text.substr(0, 1000)) + zstd_with_checksum(text.substr(1000));
  for (const std::string& bytes :
       {text, members, frames, compress(text, "bzip2"), compress(text, "xz")})
    for (size_t packet : {1, 2, 3, 7, 19, 64, 1000, 65536})
      for (size_t block : {1, 13, 4096, 100'000}) {
        Result<std::string> out = decoded(bytes, packet, block);
        ASSERT_TRUE(out) << packet << " " << block << ": " << out.error().message();
        ASSERT_EQ(*out, text) << packet << " " << block;
      }
}

TEST(LayerSource, LargeStreamsInAnyPieces) {
  std::string text = noise(300'000) + std::string(700'000, 'a') + noise(5);
  for (const std::string& bytes :
       {compress(text, "gzip"), compress(text, "zstd"), zstd_with_checksum(text)})
    for (size_t packet : {997, 65536}) {
      Result<std::string> out = decoded(bytes, packet, 50'000);
      ASSERT_TRUE(out) << out.error().message();
      EXPECT_TRUE(*out == text);
    }
}

TEST(LayerSource, TruncationAndGarbageBehindTheEndAreRefusedInEveryFormat) {
  std::string text = noise(3000);
  for (const std::string& whole : {compress(text, "gzip"), zstd_with_checksum(text),
                                   compress(text, "bzip2"), compress(text, "xz")}) {
    ASSERT_TRUE(decoded(whole));
    for (size_t cut : {1, 4, 9, 40, 2000}) {
      Result<std::string> out = decoded(whole.substr(0, whole.size() - cut));
      EXPECT_FALSE(out) << whole.size() << " - " << cut;
    }
    for (const char* garbage : {"x", "garbage that is no header"})
      EXPECT_FALSE(decoded(whole + garbage)) << static_cast<int>(whole[0]);
  }
}

TEST(LayerSource, AFlippedBitIsSeenWhereTheFormatHasAChecksum) {
  std::string text = noise(3000);
  for (const std::string& whole : {compress(text, "gzip"), zstd_with_checksum(text),
                                   compress(text, "bzip2"), compress(text, "xz")}) {
    std::string flipped = whole;
    flipped[1500] ^= 4;
    Result<std::string> out = decoded(flipped);
    ASSERT_FALSE(out);
    EXPECT_EQ(out.error().kind(), ErrorKind::kCorrupt) << out.error().message();
  }
}

TEST(LayerSource, AHeaderOfGzipMayHaveEveryField) {
  std::string plain = compress("text", "gzip");
  std::string header("\x1f\x8b\x08\x1c\0\0\0\0\0\xff", 10);  // extra, name and comment
  header += std::string("\x05\0extra", 7) + std::string("name\0", 5) + std::string("comment\0", 8);
  Result<std::string> out = decoded(header + plain.substr(10), 1, 3);
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(*out, "text");
}

TEST(LayerSource, SkippableFramesOfZstdHoldNothing) {
  std::string skippable("\x50\x2a\x4d\x18\x04\0\0\0toc!", 12);
  Result<std::string> out = decoded(skippable + zstd_with_checksum("text") + skippable, 5);
  ASSERT_TRUE(out) << out.error().message();
  EXPECT_EQ(*out, "text");
}

struct Kept {
  std::string blob;
  LayerSource::Summary summary;
};
Kept keep(const std::string& bytes, bool exact = false) {
  sys::Fd in(memfd_create("in", MFD_CLOEXEC)), blob(memfd_create("blob", MFD_CLOEXEC));
  EXPECT_TRUE(sys::write_all(in.get(), bytes));
  lseek(in.get(), 0, SEEK_SET);
  LayerSource source(in.get(), blob.get(), exact);
  EXPECT_TRUE(drain(source, 1000));
  lseek(blob.get(), 0, SEEK_SET);
  return {*sys::read_all(blob.get(), 1u << 30), source.finish()};
}

TEST(LayerSource, GzipAndZstdAreKeptByteForByte) {
  std::string text = noise(30'000);
  for (const char* filter : {"gzip", "zstd"}) {
    std::string bytes = compress(text, filter);
    Kept kept = keep(bytes);
    EXPECT_TRUE(kept.blob == bytes) << filter;
    EXPECT_EQ(kept.summary.blob->digest, sys::sha256(bytes)) << filter;
    EXPECT_EQ(kept.summary.blob->size, bytes.size()) << filter;
    EXPECT_EQ(kept.summary.input->digest, sys::sha256(bytes)) << filter;
    EXPECT_EQ(compression_name(kept.summary.compression), filter);
  }
}

TEST(LayerSource, OthersAreNotKept) {
  std::string text = noise(30'000) + std::string(300'000, 't');
  for (const char* filter : {"none", "bzip2", "xz"}) {
    bool plain = std::string_view(filter) == "none";
    std::string bytes = plain ? text : compress(text, filter);
    Kept kept = keep(bytes);
    EXPECT_EQ(kept.blob, "") << filter;
    EXPECT_FALSE(kept.summary.blob) << filter;
    EXPECT_EQ(kept.summary.compression, Compression::kNone) << filter;
    EXPECT_EQ(kept.summary.input.has_value(), !plain);
    if (!plain) {
      EXPECT_EQ(kept.summary.input->digest, sys::sha256(bytes)) << filter;
    }
  }
}

TEST(LayerSource, WhatAManifestNamesIsKeptByteForByteWhateverItIs) {
  std::string text = noise(30'000);
  for (const char* filter : {"none", "gzip", "bzip2", "xz", "zstd"}) {
    std::string bytes = std::string_view(filter) == "none" ? text : compress(text, filter);
    Kept kept = keep(bytes, /*exact=*/true);
    EXPECT_TRUE(kept.blob == bytes) << filter;
    EXPECT_EQ(kept.summary.blob->digest, sys::sha256(bytes)) << filter;
    EXPECT_EQ(kept.summary.input->digest, sys::sha256(bytes)) << filter;
  }
}

TEST(LayerSource, AFullDiskWhileKeepingIsAnError) {
  sys::Fd in(memfd_create("in", MFD_CLOEXEC));
  EXPECT_TRUE(sys::write_all(in.get(), compress("text", "gzip")));
  lseek(in.get(), 0, SEEK_SET);
  Result<sys::Fd> full = sys::open_file("/dev/full", O_WRONLY);
  LayerSource source(in.get(), full->get());
  Result<std::string> out = drain(source, 1000);
  ASSERT_FALSE(out);
  EXPECT_EQ(out.error().errnum(), ENOSPC);
}

TEST(LayerSource, APartOfAFileIsReadWhateverItsPosition) {
  const std::string plain = noise(700'000), packed = compress(plain, "gzip");
  for (const std::string& content : {plain, packed}) {
    sys::Fd fd(memfd_create("file", MFD_CLOEXEC));
    ASSERT_TRUE(
        sys::write_all(fd.get(), std::string(1000, '-') + content + std::string(1000, '+')));
    LayerSource source(fd.get(), -1, true, FilePart{1000, content.size()});
    Result<std::string> got = drain(source, 70'000);
    ASSERT_TRUE(got) << got.error().message();
    EXPECT_EQ(*got, plain);
    LayerSource::Summary summary = source.finish();
    EXPECT_EQ(summary.blob->digest, sys::sha256(content));
    EXPECT_EQ(summary.blob->size, content.size());
  }
}

TEST(LayerSource, APartThatTheFileDoesNotHaveEndsWithTheFile) {
  sys::Fd fd(memfd_create("file", MFD_CLOEXEC));
  ASSERT_TRUE(sys::write_all(fd.get(), "0123456789"));
  LayerSource source(fd.get(), -1, false, FilePart{6, 100});
  EXPECT_EQ(*drain(source, 100), "6789");
  LayerSource beyond(fd.get(), -1, false, FilePart{60, 100});
  EXPECT_EQ(*drain(beyond, 100), "");
}

}  // namespace
}  // namespace wherry::archive
