// The reports of wherry-unpack, there and back.
#include <gtest/gtest.h>

#include <cerrno>

#include "archive/outline.h"
#include "archive/pack.h"
#include "archive/unpack.h"
#include "sys/sha256.h"

namespace wherry::archive {
namespace {

TEST(UnpackReport, SurvivesTheWayWithAnyBytesInPaths) {
  std::string odd;
  for (int i = 1; i < 256; ++i) odd += static_cast<char>(i);
  Unpacked unpacked{.diff_id = sys::sha256("x"),
                    .tar_size = 1,
                    .files_size = 2,
                    .entries = 3,
                    .dropped_xattrs = 4,
                    .opaque = {odd, ""},
                    .input = sys::sha256("y"),
                    .input_size = 5,
                    .blob = sys::sha256("z"),
                    .blob_size = 6,
                    .blob_compression = Compression::kZstd};
  Result<Unpacked> back = parse_unpack_report(report_of(Result<Unpacked>(unpacked)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->diff_id, unpacked.diff_id);
  EXPECT_EQ(back->tar_size, 1u);
  EXPECT_EQ(back->files_size, 2u);
  EXPECT_EQ(back->entries, 3u);
  EXPECT_EQ(back->dropped_xattrs, 4u);
  EXPECT_EQ(back->opaque, unpacked.opaque);
  EXPECT_EQ(back->input, unpacked.input);
  EXPECT_EQ(back->input_size, 5u);
  EXPECT_EQ(back->blob, unpacked.blob);
  EXPECT_EQ(back->blob_size, 6u);
  EXPECT_EQ(back->blob_compression, Compression::kZstd);
}

TEST(UnpackReport, CarriesErrorsWithKindAndErrno) {
  Error error = Error::from_errno(ENOSPC, "cannot write 'a'").set_hint("make room");
  Result<Unpacked> back = parse_unpack_report(report_of(Result<Unpacked>(error)));
  ASSERT_FALSE(back);
  EXPECT_EQ(back.error().kind(), ErrorKind::kResourceExhausted);
  EXPECT_EQ(back.error().errnum(), ENOSPC);
  EXPECT_NE(back.error().message().find("cannot write 'a'"), std::string::npos);
  EXPECT_EQ(back.error().hint(), "make room");
  EXPECT_EQ(parse_pack_report(report_of(Result<Packed>(error))).error().errnum(), ENOSPC);
}

TEST(UnpackReport, HostileReportsAreErrorsAndNeverMore) {
  for (const char* text :
       {"", "[]", "null", "{}", "{\"diff_id\":1}", "{\"error\":[]}", "{\"diff_id\":\"sha256:..\"}",
        "{\"error\":{\"errno\":\"x\"}}", R"({"diff_id":"sha256:zz","tar_size":-1})"}) {
    EXPECT_FALSE(parse_unpack_report(text)) << text;
    EXPECT_FALSE(parse_pack_report(text)) << text;
  }
}

TEST(OutlineReport, SurvivesTheWay) {
  Outline outline{.replaced = 2, .left = {{7, {512, 9u << 20}}, {UINT64_MAX, {0, INT64_MAX}}}};
  Result<Outline> back = parse_outline_report(report_of(Result<Outline>(outline)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->replaced, 2u);
  ASSERT_EQ(back->left.size(), 2u);
  EXPECT_EQ(back->left[0].inode, 7u);
  EXPECT_EQ(back->left[0].part.offset, 512u);
  EXPECT_EQ(back->left[0].part.size, 9u << 20);
  EXPECT_EQ(back->left[1].inode, UINT64_MAX);
}

TEST(OutlineReport, WhatCannotBeAPartOfAFileIsRefused) {
  for (const char* text :
       {"", "{}", R"({"replaced":0})", R"({"replaced":0,"left":{}})",
        R"({"replaced":0,"left":[1]})", R"({"replaced":-1,"left":[]})",
        R"({"replaced":0,"left":[{"inode":1,"offset":0}]})",
        R"({"replaced":0,"left":[{"inode":1,"offset":-1,"size":1}]})",
        R"({"replaced":0,"left":[{"inode":1,"offset":9223372036854775808,"size":0}]})",
        R"({"replaced":0,"left":[{"inode":1,"offset":9223372036854775807,"size":1}]})",
        R"({"replaced":0,"left":[{"inode":1,"offset":1,"size":18446744073709551615}]})"})
    EXPECT_FALSE(parse_outline_report(text)) << text;
}

TEST(PackReport, SurvivesTheWay) {
  Packed packed{.diff_id = sys::sha256("x"),
                .tar_size = 1,
                .files_size = 2,
                .entries = 3,
                .blob = sys::sha256("y"),
                .blob_size = 4};
  Result<Packed> back = parse_pack_report(report_of(Result<Packed>(packed)));
  ASSERT_TRUE(back);
  EXPECT_EQ(back->diff_id, packed.diff_id);
  EXPECT_EQ(back->tar_size, 1u);
  EXPECT_EQ(back->files_size, 2u);
  EXPECT_EQ(back->entries, 3u);
  EXPECT_EQ(back->blob, packed.blob);
  EXPECT_EQ(back->blob_size, 4u);
}

}  // namespace
}  // namespace wherry::archive
