// manifest.json of docker-archives and the names in OCI layouts.
#include "oci/image_archive.h"

#include <gtest/gtest.h>

namespace wherry::oci {
namespace {

TEST(ImageArchive, ReadsWhatDockerWrites) {
  auto images = parse_archive_manifest(
      R"([{"Config":"blobs/sha256/ab","RepoTags":["debian:bookworm","host:5000/a/b:c"],)"
      R"("Layers":["x/layer.tar","y/layer.tar"],"LayerSources":{}},{"Config":"c.json","RepoTags":null}])");
  ASSERT_TRUE(images) << images.error().message();
  ASSERT_EQ(images->size(), 2u);
  EXPECT_EQ((*images)[0].config, "blobs/sha256/ab");
  EXPECT_EQ((*images)[0].layers, (std::vector<std::string>{"x/layer.tar", "y/layer.tar"}));
  EXPECT_EQ((*images)[0].names[1].familiar(), "host:5000/a/b:c");
  EXPECT_TRUE((*images)[1].names.empty());
}

TEST(ImageArchive, WritesWhatItReads) {
  std::vector<ArchivedImage> images = {
      {"blobs/sha256/ab", {"blobs/sha256/cd"}, {*ImageRef::parse("debian:bookworm")}},
      {"c.json", {}, {}}};
  std::string text = to_json(images);
  EXPECT_EQ(text,
            R"([{"Config":"blobs/sha256/ab","RepoTags":["debian:bookworm"],)"
            R"("Layers":["blobs/sha256/cd"]},{"Config":"c.json","RepoTags":null,"Layers":[]}])");
  auto again = parse_archive_manifest(text);
  ASSERT_TRUE(again);
  EXPECT_EQ(to_json(*again), text);
}

TEST(ImageArchive, RefusesHostileDocuments) {
  const std::pair<const char*, const char*> cases[] = {
      {"", "manifest.json"},
      {"{}", "list"},
      {"[]", "no images"},
      {"[1]", "objects"},
      {R"([{}])", "'Config'"},
      {R"([{"Config":"/etc/passwd"}])", "out of the archive"},
      {R"([{"Config":"a/../../b"}])", "out of the archive"},
      {R"([{"Config":"a","Layers":[".."]}])", "out of the archive"},
      {R"([{"Config":"a","Layers":[""]}])", "empty"},
      {R"([{"Config":"a","Layers":"b"}])", "Layers"},
      {R"([{"Config":"a\u0000b"}])", "Config"},
      {R"([{"Config":"a","RepoTags":["A:b"]}])", "RepoTags"},
  };
  for (const auto& [text, words] : cases) {
    auto images = parse_archive_manifest(text);
    ASSERT_FALSE(images) << text;
    EXPECT_NE(images.error().message().find(words), std::string::npos)
        << text << ": " << images.error().message();
  }
  std::string digest =
      R"([{"Config":"a","RepoTags":["a@sha256:)" + std::string(64, 'a') + R"("]}])";
  EXPECT_FALSE(parse_archive_manifest(digest));
}

TEST(ImageArchive, HasLimits) {
  EXPECT_FALSE(parse_archive_manifest(std::string(5000, '[')));
  EXPECT_FALSE(parse_archive_manifest(std::string(5u << 20, ' ')));
  std::string many = "[";
  for (int i = 0; i < 1025; ++i) many += std::string(i ? "," : "") + R"({"Config":"a"})";
  EXPECT_EQ(parse_archive_manifest(many + "]").error().kind(), ErrorKind::kResourceExhausted);
  std::string layers = R"([{"Config":"a","Layers":["b")";
  for (int i = 0; i < 1024; ++i) layers += R"(,"b")";
  EXPECT_EQ(parse_archive_manifest(layers + "]}]").error().kind(), ErrorKind::kResourceExhausted);
}

TEST(ImageArchive, KnowsTheLayoutsVersion) {
  EXPECT_TRUE(check_layout(layout_json()));
  EXPECT_TRUE(check_layout(R"({"imageLayoutVersion":"1.1.0"})"));
  EXPECT_EQ(check_layout(R"({"imageLayoutVersion":"2.0.0"})").error().kind(),
            ErrorKind::kUnsupported);
  for (const char* text : {"", "[]", "{}", R"({"imageLayoutVersion":1})"})
    EXPECT_FALSE(check_layout(text)) << text;
}

TEST(ImageArchive, TakesNamesFromAnnotations) {
  Digest digest = *Digest::from_hex(std::string(64, 'a'));
  Descriptor descriptor{kMediaTypeManifest, digest, 1, {}};
  EXPECT_FALSE(layout_name(descriptor));
  descriptor.annotations[kRefNameAnnotation] = "latest";
  EXPECT_FALSE(layout_name(descriptor)) << "a tag alone names nothing";
  descriptor.annotations[kRefNameAnnotation] = "busybox:1";
  EXPECT_EQ(layout_name(descriptor)->familiar(), "busybox:1");
  descriptor.annotations[kImageNameAnnotation] = "docker.io/library/debian:bookworm";
  EXPECT_EQ(layout_name(descriptor)->familiar(), "debian:bookworm");
  descriptor.annotations[kImageNameAnnotation] = "NO/NAME:x";
  EXPECT_EQ(layout_name(descriptor)->familiar(), "busybox:1");
  EXPECT_EQ(layout_path(digest), "blobs/sha256/" + std::string(64, 'a'));
}

}  // namespace
}  // namespace wherry::oci
