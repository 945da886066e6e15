#include "build/select.h"

#include <sys/socket.h>
#include <sys/un.h>

#include "unit/build/tree_fixture.h"

namespace wherry::build {
namespace {

class Select : public TreeFixture {};

TEST_F(Select, TakesADirectorysContentsInAFixedOrder) {
  file("d/b");
  file("d/a/z");
  file("d/a/y");
  directory("d/empty");
  link("d/link", "/etc/passwd");
  Selection selection = taken({"d"});
  EXPECT_EQ(names(selection), (Names{"a", "a/y", "a/z", "b", "empty", "link"}));
  EXPECT_TRUE(selection.sources[0].directory);
  EXPECT_EQ(selection.sources[0].entries[5].target, "/etc/passwd");
  EXPECT_EQ(selection.files(), 4u);
  EXPECT_EQ(names(taken({"d/"})), names(selection));
  EXPECT_EQ(names(taken({"/d/."})), names(selection));
}

TEST_F(Select, TakesTheWholeContext) {
  file("a");
  file("d/b");
  EXPECT_EQ(names(taken({"."})), (Names{"a", "d", "d/b"}));
  EXPECT_EQ(names(taken({"/"})), (Names{"a", "d", "d/b"}));
}

TEST_F(Select, NamesAFileAfterItsArgument) {
  file("d/real", "12345", 0751);
  link("alias", "d/real");
  Selection selection = taken({"alias"});
  ASSERT_EQ(selection.sources.size(), 1u);
  EXPECT_EQ(selection.sources[0].name, "alias");
  EXPECT_EQ(selection.sources[0].base, "d/real");
  EXPECT_EQ(selection.sources[0].entries[0].mode, 0751u);
  EXPECT_EQ(selection.bytes(), 5u);
}

TEST_F(Select, ExpandsWildcardsPerComponent) {
  file("a.txt");
  file("b.txt");
  file("c.md");
  file("d/a.txt");
  file("d/e/a.txt");
  EXPECT_EQ(names(taken({"*.txt"})), (Names{"a.txt", "b.txt"}));
  EXPECT_EQ(names(taken({"*/a.txt"})), (Names{"a.txt"}));
  EXPECT_EQ(names(taken({"[ac].*"})), (Names{"a.txt", "c.md"}));
  EXPECT_EQ(names(taken({"d*"})), (Names{"a.txt", "e", "e/a.txt"}));
}

TEST_F(Select, SaysWhenAWildcardMatchesNothing) {
  Selection selection = taken({"*.none"});
  EXPECT_TRUE(selection.sources.empty());
  EXPECT_EQ(selection.notes, Names{"no file in the build context matches '*.none'"});
  EXPECT_NE(refused(spec({"["})).message().find("syntax error in pattern"), std::string::npos);
}

TEST_F(Select, TakesBackslashesAsNamesOrEscapes) {
  file("a*b", "star");
  file("axb");
  file("c\\d", "backslash");
  EXPECT_EQ(names(taken({"a\\*b"})), (Names{"a*b"}));
  EXPECT_EQ(names(taken({"c\\d"})), (Names{"c\\d"}));
}

TEST_F(Select, KeepsPathsWithParents) {
  file("x/a.txt");
  file("y/a.txt");
  file("y/b/c.txt");
  CopySpec with = spec({"x/a.txt", "./y/a.txt"});
  with.parents = true;
  EXPECT_EQ(names(selected(with)), (Names{"x", "x/a.txt", "y", "y/a.txt"}));
  EXPECT_TRUE(selected(with).sources[0].entries[0].implied);
  with = spec({"**/*.txt"});
  with.parents = true;
  EXPECT_EQ(names(selected(with)), (Names{"x", "x/a.txt", "y", "y/a.txt", "y/b", "y/b/c.txt"}));
  with = spec({"./y/./b/*.txt"});
  with.parents = true;
  EXPECT_EQ(names(selected(with)), (Names{"b", "b/c.txt"}));
  with = spec({"y/b"});
  with.parents = true;
  EXPECT_EQ(names(selected(with)), (Names{"y", "y/b", "y/b/c.txt"}));
}

TEST_F(Select, LeavesOutWhatIsIgnored) {
  file("keep");
  file("d/secret");
  file("d/open");
  file("build/x/wanted");
  file("build/other");
  reopen(excluding({"d/secret", "build"}, {"build/x/wanted"}));
  EXPECT_EQ(names(taken({"."})),
            (Names{"build", "build/x", "build/x/wanted", "d", "d/open", "keep"}));
  EXPECT_EQ(names(taken({"build"})), (Names{"x", "x/wanted"}));
  EXPECT_EQ(names(taken({"d/*"})), (Names{"open"}));
  Error error = refused(spec({"d/secret"}));
  EXPECT_EQ(error.kind(), ErrorKind::kNotFound);
  EXPECT_EQ(error.message(),
            "COPY failed: file 'd/secret' not found in build context or excluded by .dockerignore");
  EXPECT_EQ(error.hint(), "'d/secret' is there, but .dockerignore excludes it");
}

TEST_F(Select, DoesNotReachIgnoredFilesThroughLinks) {
  file("secret");
  link("door", "secret");
  reopen(excluding({"secret"}));
  EXPECT_EQ(refused(spec({"door"})).kind(), ErrorKind::kNotFound);
}

TEST_F(Select, AppliesExcludesToEachSource) {
  file("d/a.md");
  file("d/a.txt");
  file("d/n/b.md");
  file("top.md");
  CopySpec without = spec({"d", "top.md"});
  without.exclude = {"**/*.md"};
  EXPECT_EQ(names(selected(without)), (Names{"a.txt", "n"}));
}

TEST_F(Select, NamesWhatIsMissingAndWhatIsNear) {
  file("src/main.cc");
  Error error = refused(spec({"src/mian.cc"}));
  EXPECT_EQ(error.hint(), "did you mean 'src/main.cc'?");
  CopySpec add = spec({"nothing"});
  add.add = true;
  EXPECT_EQ(refused(add).message(),
            "ADD failed: file 'nothing' not found in build context or excluded by .dockerignore");
  EXPECT_EQ(refused(spec({"src/main.cc/x"})).kind(), ErrorKind::kNotFound);
  link("dangling", "/nowhere");
  EXPECT_NE(refused(spec({"dangling"})).hint().find("is a link to something that is not in"),
            std::string::npos);
}

TEST_F(Select, NeverLeavesTheContext) {
  std::ofstream(base_ + "/outside") << "secret";
  for (const char* path : {"../outside", "a/../../outside", "/../outside", ".."}) {
    Error error = refused(spec({path}));
    EXPECT_EQ(error.kind(), ErrorKind::kInvalidArgument) << path;
    EXPECT_NE(error.message().find("COPY failed: forbidden path outside the build context"),
              std::string::npos)
        << error.message();
  }
  link("up", "../outside");
  link("absolute", base_ + "/outside");
  link("parent", "..");
  for (const char* path : {"up", "absolute", "parent/outside", "parent/../outside"})
    EXPECT_EQ(refused(spec({path})).kind(), ErrorKind::kNotFound) << path;
  // ".." of the root is the root, as in a container.
  file("inside");
  EXPECT_EQ(names(taken({"parent"})), (Names{"absolute", "inside", "parent", "up"}));
}

TEST_F(Select, EndsOnLoopsOfLinks) {
  link("a", "b");
  link("b", "a");
  EXPECT_EQ(refused(spec({"a"})).errnum(), ELOOP);
  link("self", ".");
  EXPECT_EQ(names(taken({"self/self/."})), (Names{"a", "b", "self"}));
}

TEST_F(Select, KeepsAnyBytesInNames) {
  file("d/new\nline");
  file("d/\xff\xfe");
  file("d/ blank");
  Selection selection = taken({"d"});
  EXPECT_EQ(names(selection), (Names{" blank", "new\nline", "\xff\xfe"}));
  EXPECT_NE(selection.parts.find(" new\\x0aline\n"), std::string::npos);
  EXPECT_NE(selection.parts.find(" \\xff\\xfe\n"), std::string::npos);
  EXPECT_NE(selection.parts.find(" \\x20blank\n"), std::string::npos);
}

TEST_F(Select, TakesFifosWithoutWaitingAndSkipsSockets) {
  directory("d");
  ASSERT_EQ(mkfifo(in("d/fifo").c_str(), 0600), 0);
  sys::Fd socket(::socket(AF_UNIX, SOCK_STREAM | SOCK_CLOEXEC, 0));
  sockaddr_un address{};
  address.sun_family = AF_UNIX;
  snprintf(address.sun_path, sizeof address.sun_path, "%s", in("d/socket").c_str());
  ASSERT_EQ(bind(socket.get(), reinterpret_cast<sockaddr*>(&address), sizeof address), 0);
  Selection selection = taken({"d"});
  EXPECT_EQ(names(selection), (Names{"fifo"}));
  EXPECT_EQ(selection.sources[0].entries[0].type, EntryType::kFifo);
  EXPECT_EQ(selection.notes, Names{"skipped 'd/socket': sockets are not copied"});
  EXPECT_EQ(refused(spec({"d/socket"})).message(), "COPY failed: 'd/socket' is a socket");
  EXPECT_EQ(names(taken({"d/fifo"})), (Names{"fifo"}));
}

TEST_F(Select, NamesAFileThatCannotBeRead) {
  file("d/private", "x", 0600);
  bool root = geteuid() == 0;
  // Others' files: root could read everything.
  if (root) {
    ASSERT_EQ(chmod(base_.c_str(), 0755), 0);
    ASSERT_EQ(seteuid(65534), 0);
  } else {
    ASSERT_EQ(chmod(in("d/private").c_str(), 0), 0);
  }
  Error error = refused(spec({"d"}));
  ASSERT_EQ(seteuid(root ? 0 : geteuid()), 0);
  EXPECT_EQ(error.kind(), ErrorKind::kPermissionDenied);
  EXPECT_EQ(error.message(), "COPY failed: cannot open 'd/private': permission denied");
}

TEST_F(Select, WalksDeepTreesWithFewDescriptors) {
  // Names that a path of 4,095 bytes has room for, far more than the descriptors of a process.
  sys::Fd at(open(in("").c_str(), O_RDONLY | O_DIRECTORY | O_CLOEXEC));
#ifdef WHERRY_SANITIZED
  // A sanitizer's frames are many times as large as ours.
  constexpr int kDepth = 800;
  constexpr const char* kDeeper = "dddd";
#else
  constexpr int kDepth = 2000;
  constexpr const char* kDeeper = "d";
#endif
  for (int i = 0; i < kDepth; ++i) {
    ASSERT_EQ(mkdirat(at.get(), kDeeper, 0755), 0);
    at.reset(openat(at.get(), kDeeper, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  EXPECT_EQ(taken({"."}).sources[0].entries.size(), static_cast<size_t>(kDepth));
  for (int i = 0; i < 100; ++i) {
    ASSERT_EQ(mkdirat(at.get(), kDeeper, 0755), 0);
    at.reset(openat(at.get(), kDeeper, O_RDONLY | O_DIRECTORY | O_CLOEXEC));
  }
  EXPECT_EQ(refused(spec({"."})).kind(), ErrorKind::kResourceExhausted);
}

TEST_F(Select, ReadsHeredocsFromMemory) {
  Result<SourceTree> files = SourceTree::files({{"a.txt", "hello\n", 0644}, {"b*", "", 0755}});
  ASSERT_TRUE(files);
  CopySpec spec;
  spec.destination = "/dir/";
  spec.sources = {{&*files, "a.txt"}, {&*files, "b*"}};
  Selection selection = selected(spec);
  EXPECT_EQ(names(selection), (Names{"a.txt", "b*"}));
  EXPECT_EQ(selection.sources[0].entries[0].size, 6u);
  EXPECT_EQ(selection.sources[1].entries[0].mode, 0755u);
  EXPECT_FALSE(selection.sources[0].unpack);
  EXPECT_FALSE(select(CopySpec{.sources = {{&*files, "../a.txt"}}}, nullptr));
}

TEST_F(Select, UnpacksOnlyWhatAddNames) {
  file("a.tar");
  file("d/b.tar");
  CopySpec add = spec({"a.tar", "d"});
  add.add = true;
  EXPECT_TRUE(selected(add).sources[0].unpack);
  EXPECT_FALSE(selected(add).sources[1].unpack);
  add.unpack = false;
  EXPECT_FALSE(selected(add).sources[0].unpack);
  EXPECT_FALSE(taken({"a.tar"}).sources[0].unpack);
}

}  // namespace
}  // namespace wherry::build
