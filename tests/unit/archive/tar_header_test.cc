// Headers that we write, as libarchive reads them.
#include "archive/tar_header.h"

#include <archive.h>
#include <archive_entry.h>
#include <gtest/gtest.h>
#include <sys/stat.h>

#include <algorithm>
#include <utility>

namespace wherry::archive {
namespace {

struct Seen {
  std::string path, link;
  mode_t type = 0, mode = 0;
  int64_t uid = 0, gid = 0, size = 0, seconds = 0;
  long nanoseconds = 0;
  std::vector<std::pair<std::string, std::string>> xattrs;
};

Seen read_back(const std::string& header, size_t data = 0) {
  std::string tar = header + std::string(data, 'd') + std::string(tar_padding(data) + 1024, '\0');
  std::unique_ptr<::archive, int (*)(::archive*)> reader(archive_read_new(), &archive_read_free);
  archive_read_support_format_tar(reader.get());
  archive_entry* entry = nullptr;
  EXPECT_EQ(archive_read_open_memory(reader.get(), tar.data(), tar.size()), ARCHIVE_OK);
  int code = archive_read_next_header(reader.get(), &entry);
  // A name that is not UTF-8 is a warning.
  EXPECT_TRUE(code == ARCHIVE_OK || code == ARCHIVE_WARN) << archive_error_string(reader.get());
  if (entry == nullptr) return {};
  auto text = [](const char* value) { return std::string(value != nullptr ? value : ""); };
  Seen seen{.path = text(archive_entry_pathname(entry)),
            .link = text(archive_entry_hardlink(entry)) + text(archive_entry_symlink(entry)),
            .type = archive_entry_filetype(entry),
            .mode = archive_entry_perm(entry),
            .uid = archive_entry_uid(entry),
            .gid = archive_entry_gid(entry),
            .size = archive_entry_size(entry),
            .seconds = archive_entry_mtime(entry),
            .nanoseconds = archive_entry_mtime_nsec(entry)};
  archive_entry_xattr_reset(entry);
  const char* name = nullptr;
  const void* value = nullptr;
  size_t size = 0;
  while (archive_entry_xattr_next(entry, &name, &value, &size) == ARCHIVE_OK)
    seen.xattrs.emplace_back(name, std::string(static_cast<const char*>(value), size));
  std::ranges::sort(seen.xattrs);
  return seen;
}

TEST(TarHeader, APlainEntryIsOneBlockOfUstar) {
  TarEntry entry{
      .path = "etc/passwd", .mode = 04755, .uid = 7, .gid = 8, .mtime = {99, 0}, .size = 3};
  Result<std::string> header = tar_header(entry);
  ASSERT_TRUE(header);
  EXPECT_EQ(header->size(), 512u);
  EXPECT_EQ(header->substr(257, 8), std::string("ustar\0"
                                                "00",
                                                8));
  EXPECT_EQ(header->substr(100, 8), std::string("0004755\0", 8));
  Seen seen = read_back(*header, 3);
  EXPECT_EQ(seen.path, "etc/passwd");
  EXPECT_EQ(seen.mode, 04755u);
  EXPECT_EQ(seen.uid, 7);
  EXPECT_EQ(seen.gid, 8);
  EXPECT_EQ(seen.size, 3);
  EXPECT_EQ(seen.seconds, 99);
}

TEST(TarHeader, NamesOfEveryLengthAndKindOfByteComeBack) {
  for (size_t length = 1; length < 700; ++length)
    for (const char* part : {"abcdefghi/", "\xc3\xa9/", "\xff\xfe\x80/", "x"}) {
      std::string path;
      while (path.size() < length) path += part;
      path.resize(length);
      if (path.back() == '/') path.back() = 'e';
      Result<std::string> header = tar_header({.path = path});
      ASSERT_TRUE(header);
      ASSERT_EQ(read_back(*header).path, path) << length;
      ASSERT_EQ(header->size() % kTarBlock, 0u);
      ASSERT_TRUE(length > 100 || header->size() == kTarBlock);
      Result<std::string> directory = tar_header({.path = path + "/", .type = '5'});
      ASSERT_EQ(read_back(*directory).path, path + "/") << length;
      Result<std::string> link = tar_header({.path = "l", .type = '2', .link = path});
      ASSERT_EQ(read_back(*link).link, path) << length;
    }
}

TEST(TarHeader, NumbersBeyondOctalGoToPax) {
  TarEntry entry{.path = "f", .uid = 4'000'000'000, .gid = 2097152, .mtime = {1'700'000'000, 120}};
  Result<std::string> header = tar_header(entry);
  ASSERT_TRUE(header);
  EXPECT_NE(header->find("18 uid=4000000000\n"), std::string::npos);
  EXPECT_NE(header->find("mtime=1700000000.00000012\n"), std::string::npos);
  Seen seen = read_back(*header);
  EXPECT_EQ(seen.uid, 4'000'000'000);
  EXPECT_EQ(seen.gid, 2097152);
  EXPECT_EQ(seen.seconds, 1'700'000'000);
  EXPECT_EQ(seen.nanoseconds, 120);
  EXPECT_EQ(tar_header({.path = "f", .uid = 2097151})->size(), kTarBlock);
  Result<std::string> large = tar_header({.path = "f", .size = uint64_t{1} << 33});
  EXPECT_NE(large->find("size=8589934592\n"), std::string::npos);
  EXPECT_EQ(tar_header({.path = "f", .size = (uint64_t{1} << 33) - 1})->size(), kTarBlock);
}

TEST(TarHeader, TimesBeforeNineteenSeventyAreWholeSeconds) {
  Seen seen = read_back(*tar_header({.path = "f", .mtime = {-5, 500'000'000}}));
  EXPECT_EQ(seen.seconds, -5);
  EXPECT_EQ(seen.nanoseconds, 0);
}

TEST(TarHeader, AttributesAreBytes) {
  std::vector<std::pair<std::string, std::string>> xattrs{
      {"security.capability", std::string("\1\0\0\2\n\0=", 7)},
      {"user.empty", ""},
      {"user.n", "v"}};
  EXPECT_EQ(read_back(*tar_header({.path = "f", .xattrs = xattrs})).xattrs, xattrs);
}

TEST(TarHeader, AnAttributeThatATarCannotHoldIsRefusedByName) {
  Result<std::string> header = tar_header({.path = "f", .xattrs = {{"user.a=b", "c"}}});
  ASSERT_FALSE(header);
  EXPECT_NE(header.error().message().find("'user.a=b'"), std::string::npos);
}

TEST(TarHeader, KindsComeBack) {
  EXPECT_EQ(read_back(*tar_header({.path = "f", .type = '6'})).type, mode_t{S_IFIFO});
  EXPECT_EQ(read_back(*tar_header({.path = "f", .type = '3', .major = 1, .minor = 3})).type,
            mode_t{S_IFCHR});
  EXPECT_EQ(read_back(*tar_header({.path = "b", .type = '1', .link = "a"})).link, "a");
}

}  // namespace
}  // namespace wherry::archive
