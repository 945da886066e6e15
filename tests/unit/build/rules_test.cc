// The pure parts: --chmod, destinations, archives by content, names of URLs.
#include <gtest/gtest.h>

#include "build/add.h"
#include "build/archive_file.h"
#include "build/chmod.h"
#include "build/destination.h"
#include "build/resolve.h"
#include "unit/archive/tar_builder.h"

namespace wherry::build {
namespace {

uint32_t changed(const std::string& words, uint32_t mode, bool directory = false) {
  Result<ModeChange> change = ModeChange::parse(words);
  EXPECT_TRUE(change) << words;
  return change ? change->apply(mode, directory) : 0;
}

TEST(Chmod, UnderstandsNumbersAndSymbols) {
  EXPECT_EQ(changed("755", 0600), 0755u);
  EXPECT_EQ(changed("04755", 0600), 04755u);
  EXPECT_EQ(changed("0", 0777), 0u);
  EXPECT_EQ(changed("+x", 0644), 0755u);
  EXPECT_EQ(changed("u+x,go-r", 0644), 0700u);
  EXPECT_EQ(changed("go=", 0777), 0700u);
  EXPECT_EQ(changed("a=rX", 0600), 0444u);
  EXPECT_EQ(changed("a=rX", 0700), 0555u);
  EXPECT_EQ(changed("a=rX", 0600, /*directory=*/true), 0555u);
  EXPECT_EQ(changed("g=u", 0640), 0660u);
  EXPECT_EQ(changed("u+s", 0755), 04755u);
  EXPECT_EQ(changed("g+s,o+t", 0755), 03755u);
  EXPECT_EQ(changed("u=rwx,g=rx,o=", 0), 0750u);
  EXPECT_EQ(changed("u+r-w", 0200), 0400u);
}

TEST(Chmod, RefusesTheRestWithDockersWords) {
  for (const char* words : {"", "888", "17777", "-1", "abc", "u", "u+q", "u+x,", "u~x", "0x1"}) {
    Result<ModeChange> change = ModeChange::parse(words);
    ASSERT_FALSE(change) << words;
    EXPECT_NE(change.error().message().find("invalid chmod parameter: '" + std::string(words) +
                                            "'. it should be octal string and between 0 and 07777"),
              std::string::npos);
  }
}

PlaceQuestion question(const std::string& destination, Standing standing) {
  PlaceQuestion q;
  q.instruction = "COPY";
  q.destination = destination;
  q.path = join_path("", destination.substr(1, destination.find_last_not_of('/')));
  q.standing = standing;
  q.name = "f";
  return q;
}

TEST(Place, AFileTakesTheNameUnlessADirectoryIsMeantOrThere) {
  Result<Placement> renamed = place(question("/a/b", Standing::kMissing));
  ASSERT_TRUE(renamed);
  EXPECT_EQ(renamed->path, "a/b");
  EXPECT_EQ(renamed->directory, "a");
  EXPECT_EQ(place(question("/a/b", Standing::kOther))->path, "a/b");
  EXPECT_EQ(place(question("/a/b", Standing::kDirectory))->path, "a/b/f");
  EXPECT_EQ(place(question("/a/b/", Standing::kMissing))->path, "a/b/f");
  EXPECT_EQ(place(question("/a/b/.", Standing::kMissing))->directory, "a/b/.");
}

TEST(Place, SeveralArgumentsMakeADirectory) {
  PlaceQuestion q = question("/a", Standing::kMissing);
  q.arguments = 2;
  EXPECT_EQ(place(q)->path, "a/f");
  q.standing = Standing::kOther;
  EXPECT_EQ(place(q).error().message(),
            "When using COPY with more than one source file, the destination must be a directory "
            "and end with a /");
}

TEST(Place, MatchesOfAWildcardNeverReplaceEachOther) {
  PlaceQuestion q = question("/a", Standing::kMissing);
  q.files = 2;
  EXPECT_FALSE(place(q));
  q.standing = Standing::kDirectory;
  EXPECT_EQ(place(q)->path, "a/f");
  q.standing = Standing::kMissing;
  q.destination = "/a/";
  EXPECT_EQ(place(q)->path, "a/f");
}

TEST(Place, ADirectorysContentsNeedADirectory) {
  PlaceQuestion q = question("/a", Standing::kMissing);
  q.source_is_directory = true;
  EXPECT_EQ(place(q)->path, "a");
  q.standing = Standing::kOther;
  EXPECT_EQ(place(q).error().message(), "cannot copy to non-directory: '/a'");
  EXPECT_EQ(place(question("/a/", Standing::kOther)).error().message(),
            "cannot copy to non-directory: '/a/'");
}

TEST(ArchiveFile, CountsContentNotNames) {
  using namespace std::string_literals;
  EXPECT_TRUE(starts_like_archive("\x1f\x8b\x08"));
  EXPECT_TRUE(starts_like_archive("BZh9"));
  EXPECT_TRUE(
      starts_like_archive("\xfd"
                          "7zXZ\0"s));
  EXPECT_TRUE(starts_like_archive("\x28\xb5\x2f\xfd"));
  EXPECT_FALSE(starts_like_archive(""));
  EXPECT_FALSE(starts_like_archive("plain text"));
  EXPECT_FALSE(starts_like_archive(std::string(1024, '\0')));
  testing::TarBuilder builder;
  builder.file("hello", "content");
  std::string tar = builder.bytes();
  EXPECT_TRUE(starts_like_archive(tar.substr(0, 512)));
  EXPECT_FALSE(starts_like_archive(tar.substr(0, 511)));
  tar[0] = 'H';
  EXPECT_FALSE(starts_like_archive(tar.substr(0, 512)));
}

TEST(AddUrl, IsNamedAfterItsPath) {
  EXPECT_EQ(name_of_url("https://host/dir/file.tar.gz?x=1#y"), "file.tar.gz");
  EXPECT_EQ(name_of_url("http://host/a%20b"), "a b");
  EXPECT_EQ(name_of_url("http://host/dir/"), "dir");
  for (const char* url : {"http://host", "http://host/", "http://host/?q=/x", "http://host/a/..",
                          "http://host/%2e%2e", "http://host/a%2fb", "http://host/%00"})
    EXPECT_EQ(name_of_url(url), "__unnamed__") << url;
}

TEST(AddSource, RefusesGitByName) {
  EXPECT_EQ(*classify_add_source("file"), AddSource::kLocal);
  EXPECT_EQ(*classify_add_source("HTTPS://host/x"), AddSource::kUrl);
  for (const char* source : {"git@host:a/b", "git://host/x", "ssh://host/x",
                             "https://host/x.git#branch:dir", "https://host/x.git?ref=1"}) {
    Result<AddSource> kind = classify_add_source(source);
    ASSERT_FALSE(kind) << source;
    EXPECT_EQ(kind.error().kind(), ErrorKind::kUnsupported);
    EXPECT_NE(kind.error().message().find("ADD of a git repository is not supported yet"),
              std::string::npos);
  }
}

TEST(EscapeName, IsPrintableAndReversible) {
  EXPECT_EQ(escape_name("a b"), "a b");
  EXPECT_EQ(escape_name("a\nb\\\xff"), "a\\x0ab\\x5c\\xff");
}

}  // namespace
}  // namespace wherry::build
