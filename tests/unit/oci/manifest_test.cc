// Manifests and indexes of both families: told apart, chosen from, never taken for each other.
#include <gtest/gtest.h>

#include "oci/image.h"

namespace wherry::oci {
namespace {

std::string digest_of(char digit) {
  return "sha256:" + std::string(64, digit);
}

std::string entry(char digit, const std::string& platform) {
  return R"({"mediaType":"application/vnd.oci.image.manifest.v1+json","digest":")" +
         digest_of(digit) + R"(","size":1)" +
         (platform.empty() ? "" : R"(,"platform":)" + platform) + "}";
}

std::string index_with(const std::string& manifests, const std::string& more = "") {
  return R"({"schemaVersion":2,"manifests":[)" + manifests + "]" + more + "}";
}

std::string platform(const std::string& arch, const std::string& variant = "") {
  return R"({"os":"linux","architecture":")" + arch + "\"" +
         (variant.empty() ? "" : R"(,"variant":")" + variant + "\"") + "}";
}

std::string chosen(const std::string& index_text, const std::string& wanted) {
  Result<Index> index = parse_index(index_text);
  if (!index) return index.error().message();
  Result<Descriptor> descriptor = choose_platform(*index, wanted);
  return descriptor ? descriptor->digest.hex().substr(0, 1) : descriptor.error().message();
}

const std::string kManifestText = R"({"schemaVersion":2,"config":{"mediaType":"x","digest":")" +
                                  digest_of('a') + R"(","size":7},"layers":[]})";

TEST(Manifest, DockersTwinIsReadAndKeepsItsType) {
  std::string text =
      R"({"schemaVersion":2,"mediaType":"application/vnd.docker.distribution.manifest.v2+json",)"
      R"("config":{"mediaType":"application/vnd.docker.container.image.v1+json","digest":")" +
      digest_of('a') +
      R"(","size":7},"layers":[{"mediaType":)"
      R"("application/vnd.docker.image.rootfs.foreign.diff.tar.gzip","digest":")" +
      digest_of('b') + R"(","size":9,"urls":["https://x/y"]}]})";
  Result<Manifest> manifest = parse_manifest(text);
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->media_type, kDockerManifest);
  EXPECT_TRUE(is_config_media_type(manifest->config.media_type));
  EXPECT_TRUE(is_foreign_layer(manifest->layers[0].media_type));
  EXPECT_EQ(manifest->layers[0].urls, std::vector<std::string>{"https://x/y"});
  EXPECT_EQ(to_json(*manifest), text);
}

TEST(Manifest, AnArtifactKeepsItsTypeAndSubject) {
  std::string text =
      R"({"schemaVersion":2,"artifactType":"a/b","config":{"mediaType":"x","digest":")" +
      digest_of('a') + R"(","size":7},"layers":[],"subject":)" + entry('c', "") + "}";
  Result<Manifest> manifest = parse_manifest(text);
  ASSERT_TRUE(manifest) << manifest.error().message();
  EXPECT_EQ(manifest->artifact_type, "a/b");
  EXPECT_EQ(manifest->subject->digest.str(), digest_of('c'));
  Result<Manifest> back = parse_manifest(to_json(*manifest));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(*manifest));
}

TEST(Manifest, AnotherDigestAlgorithmIsRefusedByName) {
  std::string text = kManifestText;
  text.replace(text.find("sha256:"), 71, "sha512:" + std::string(128, 'a'));
  Result<Manifest> manifest = parse_manifest(text);
  ASSERT_FALSE(manifest);
  EXPECT_EQ(manifest.error().kind(), ErrorKind::kUnsupported);
  EXPECT_EQ(manifest.error().message(),
            "invalid image manifest: config: unsupported digest algorithm 'sha512'");
}

TEST(Index, SurvivesWritingAndReading) {
  std::string text = index_with(
      entry('1', R"({"architecture":"arm","os":"linux","os.version":"1.2","variant":"v7"})") + "," +
          entry('2', ""),
      R"(,"annotations":{"k":"v"})");
  Result<Index> index = parse_index(text);
  ASSERT_TRUE(index) << index.error().message();
  EXPECT_EQ(index->media_type, kMediaTypeIndex);
  EXPECT_EQ(*index->manifests[0].platform, (Platform{"linux", "arm", "v7", "1.2"}));
  EXPECT_FALSE(index->manifests[1].platform);
  Result<Index> back = parse_index(to_json(*index));
  ASSERT_TRUE(back);
  EXPECT_EQ(to_json(*back), to_json(*index));
}

TEST(Index, HostileDocumentsAreRefused) {
  std::string many;
  for (int i = 0; i < 1025; ++i) many += (i > 0 ? "," : "") + entry('1', "");
  const std::string table[] = {
      "",
      "{}",
      "[]",
      kManifestText,
      R"({"schemaVersion":2,"manifests":{}})",
      R"({"schemaVersion":1,"manifests":[]})",
      R"({"manifests":[]})",
      index_with("1"),
      index_with("{}"),
      index_with(entry('1', "7")),
      index_with(entry('1', R"({"os":7})")),
      index_with(entry('g', "")),
      index_with("", R"(,"layers":[])"),
      index_with("", R"(,"config":{})"),
      index_with("", R"(,"mediaType":"application/vnd.oci.image.manifest.v1+json")"),
      index_with("", R"(,"mediaType":"text/plain")"),
      index_with(many),
      std::string(1'000'000, '[')};
  for (const std::string& text : table) {
    Result<Index> index = parse_index(text);
    ASSERT_FALSE(index) << text.substr(0, 120);
    EXPECT_EQ(index.error().message().find("invalid image index"), 0u) << index.error().message();
  }
}

TEST(DocumentKind, IsToldByTheContent) {
  EXPECT_EQ(*document_kind(kManifestText, ""), DocumentKind::kManifest);
  EXPECT_EQ(*document_kind(kManifestText, "application/json"), DocumentKind::kManifest);
  EXPECT_EQ(*document_kind(kManifestText, kDockerManifest), DocumentKind::kManifest);
  EXPECT_EQ(*document_kind(index_with(""), kDockerManifestList), DocumentKind::kIndex);
  EXPECT_EQ(*document_kind(index_with(""), std::string(kMediaTypeIndex) + "; charset=utf-8"),
            DocumentKind::kIndex);
}

TEST(DocumentKind, ContradictionsAreCorrupt) {
  const std::pair<std::string, std::string> table[] = {
      {kManifestText, kMediaTypeIndex},
      {kManifestText, std::string(kDockerManifestList) + ";q=1"},
      {index_with(""), kMediaTypeManifest},
      {index_with("", R"(,"layers":[])"), ""},
      {index_with("", std::string(R"(,"mediaType":")") + kDockerManifest + "\""), ""},
      {R"({"schemaVersion":2,"config":{},"mediaType":")" + std::string(kMediaTypeIndex) + "\"}",
       ""},
      {R"({"schemaVersion":2})", ""}};
  for (const auto& [text, announced] : table) {
    Result<DocumentKind> kind = document_kind(text, announced);
    ASSERT_FALSE(kind) << text << " as " << announced;
    EXPECT_EQ(kind.error().kind(), ErrorKind::kCorrupt);
  }
}

TEST(ChoosePlatform, TakesTheBestVariantThatRuns) {
  std::string arms =
      index_with(entry('5', platform("arm", "v5")) + "," + entry('6', platform("arm", "v6")) + "," +
                 entry('8', platform("arm64", "v8")) + "," + entry('1', platform("amd64")) + "," +
                 entry('3', platform("amd64", "v3")));
  EXPECT_EQ(chosen(arms, "linux/arm/v7"), "6");
  EXPECT_EQ(chosen(arms, "linux/arm"), "6");
  EXPECT_EQ(chosen(arms, "linux/arm/v5"), "5");
  EXPECT_EQ(chosen(arms, "linux/arm64"), "8");
  EXPECT_EQ(chosen(arms, "linux/arm64/v9"), "8");
  EXPECT_EQ(chosen(arms, "linux/aarch64"), "8");
  EXPECT_EQ(chosen(arms, "linux/amd64"), "1");
  EXPECT_EQ(chosen(arms, "linux/amd64/v2"), "1");
  EXPECT_EQ(chosen(arms, "linux/amd64/v3"), "3");
  EXPECT_EQ(chosen(arms, "linux/x86_64/v4"), "3");
  EXPECT_EQ(chosen(arms, "amd64"), "1");
}

TEST(ChoosePlatform, TheFirstOfEqualsWins) {
  EXPECT_EQ(chosen(index_with(entry('1', platform("amd64")) + "," + entry('2', platform("amd64"))),
                   "linux/amd64"),
            "1");
}

TEST(ChoosePlatform, NamesWhatThereIsWhenNothingFits) {
  std::string text =
      index_with(entry('1', platform("amd64", "v3")) + "," + entry('2', platform("arm", "v7")) +
                 "," + entry('3', R"({"os":"unknown","architecture":"unknown"})"));
  Result<Index> index = parse_index(text);
  ASSERT_TRUE(index);
  for (const char* wanted : {"linux/amd64/v2", "linux/arm/v6", "linux/s390x", "windows/amd64",
                             "unknown/unknown", "linux/amd64/strange"}) {
    Result<Descriptor> none = choose_platform(*index, wanted);
    ASSERT_FALSE(none) << wanted;
    EXPECT_EQ(none.error().kind(), ErrorKind::kNotFound);
    EXPECT_EQ(none.error().hint(), "the index has linux/amd64/v3, linux/arm/v7");
  }
}

TEST(ChoosePlatform, TheOnlyImageWithoutAPlatformIsTaken) {
  EXPECT_EQ(chosen(index_with(entry('7', "")), "linux/amd64"), "7");
  EXPECT_EQ(chosen(index_with(entry('7', "") + "," + entry('8', "")), "linux/amd64"),
            "no matching manifest for 'linux/amd64' in the manifest list entries");
}

TEST(Platform, IsReadAndNormalised) {
  const std::pair<const char*, const char*> table[] = {
      {"linux/amd64", "linux/amd64"},    {"Linux/X86_64", "linux/amd64"},
      {"linux/amd64/v1", "linux/amd64"}, {"linux/arm", "linux/arm/v7"},
      {"linux/arm/7", "linux/arm/v7"},   {"linux/armel", "linux/arm/v6"},
      {"armhf", "linux/arm/v7"},         {"linux/arm64/v8", "linux/arm64"},
      {"linux/i686", "linux/386"},       {"macos/arm64", "darwin/arm64"}};
  for (const auto& [text, normal] : table) {
    Result<Platform> platform = parse_platform(text);
    ASSERT_TRUE(platform) << text;
    EXPECT_EQ(to_text(*platform), normal);
  }
  EXPECT_EQ(to_text(*parse_platform("linux")), to_text(host_platform()));
  for (const char* text : {"", "/", "linux/", "/amd64", "a/b/c/d", "linux/a b", "linux/$X"})
    EXPECT_FALSE(parse_platform(text)) << text;
}

TEST(MediaType, LayersOfBothFamiliesAreKnown) {
  EXPECT_EQ(layer_compression(kMediaTypeLayerTar), Compression::kNone);
  EXPECT_EQ(layer_compression(kDockerLayerGzip), Compression::kGzip);
  EXPECT_EQ(layer_compression(kMediaTypeLayerZstd), Compression::kZstd);
  EXPECT_EQ(layer_compression(kMediaTypeConfig), std::nullopt);
  EXPECT_FALSE(is_layer_media_type("application/vnd.in-toto+json"));
  EXPECT_FALSE(is_foreign_layer(kDockerLayerGzip));
  for (Compression compression : {Compression::kNone, Compression::kGzip, Compression::kZstd})
    for (const char* family : {kMediaTypeManifest, kDockerManifest})
      EXPECT_EQ(layer_compression(layer_media_type(family, compression)), compression);
  EXPECT_TRUE(is_manifest(kDockerManifest) && !is_index(kDockerManifest));
  EXPECT_TRUE(is_index(kDockerManifestList) && !is_manifest(kDockerManifestList));
}

}  // namespace
}  // namespace wherry::oci
