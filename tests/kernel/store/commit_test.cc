// Drafts, commits and blobs: what pulls, loads and builds stand on.
#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include <map>

#include "base/failpoint.h"
#include "kernel/store/store_fixture.h"
#include "state/images.h"
#include "sys/sha256.h"

namespace wherry::store {
namespace {

using testing::TarBuilder;

class CommitTest : public StoreFixture {
 protected:
  // A layer as a pull makes it; the tar's bytes are its own blob here.
  LayerDraft draft_of(const std::string& content, bool with_blob = true) {
    Result<LayerDraft> draft = store_->new_layer();
    EXPECT_TRUE(draft) << draft.error().message();
    archive::Packed packed = pack(*draft, content);
    LayerFacts facts{packed.diff_id, packed.tar_size, {}};
    if (with_blob) {
      EXPECT_TRUE(sys::write_all(*draft->blob_fd(), "blob of " + content));
      facts.blob = blob_of(content);
    }
    Result<void> finished = draft->finish(std::move(facts));
    EXPECT_TRUE(finished) << finished.error().message();
    return std::move(*draft);
  }
  // A file of a fixed time, packed as a builder does it.
  static archive::Packed pack(LayerDraft& draft, const std::string& content) {
    const std::string path = draft.tree_path() + "/file";
    std::ofstream(path) << content;
    const timespec times[] = {{1000, 0}, {1000, 0}};
    EXPECT_EQ(chmod(path.c_str(), 0644) + utimensat(AT_FDCWD, path.c_str(), times, 0), 0);
    Result<archive::Packed> packed = archive::run_pack({.directory = draft.tree(),
                                                        .lock = draft.lock_fd(),
                                                        .record = *draft.record_fd(),
                                                        .recipe = *draft.recipe_fd()});
    EXPECT_TRUE(packed) << packed.error().message();
    return std::move(*packed);
  }
  Digest diff_id(const std::string& content) {
    auto known = diff_ids_.find(content);
    if (known == diff_ids_.end()) {
      Result<LayerDraft> scratch = store_->new_layer();
      known = diff_ids_.emplace(content, pack(*scratch, content).diff_id).first;
    }
    return known->second;
  }
  static Blob blob_of(const std::string& content) {
    std::string bytes = "blob of " + content;
    return {sys::sha256(bytes), bytes.size(), oci::kMediaTypeLayerGzip};
  }
  static std::vector<LayerDraft> list(LayerDraft draft) {
    std::vector<LayerDraft> drafts;
    drafts.push_back(std::move(draft));
    return drafts;
  }
  NewImage image_of(const std::vector<std::string>& contents, const std::string& name = "") {
    oci::ImageConfig config;
    for (const std::string& content : contents) config.diff_ids.push_back(diff_id(content));
    NewImage image{.manifest_json = "", .config_json = oci::to_json(config)};
    if (!name.empty()) image.references.push_back(*oci::ImageRef::parse(name));
    return image;
  }
  static std::string manifest_of(const NewImage& image, const std::vector<Blob>& blobs) {
    oci::Manifest manifest{.config = {oci::kMediaTypeConfig,
                                      sys::sha256(image.config_json),
                                      static_cast<int64_t>(image.config_json.size()),
                                      {}}};
    for (const Blob& blob : blobs)
      manifest.layers.push_back(
          {blob.media_type, blob.digest, static_cast<int64_t>(blob.size), {}});
    return oci::to_json(manifest);
  }
  void expect_nothing() {
    expect_empty();
    EXPECT_EQ(names_in("blobs/sha256"), "");
  }

 private:
  std::map<std::string, Digest> diff_ids_;
};

TEST_F(CommitTest, ADroppedDraftLeavesNothing) {
  {
    LayerDraft draft = draft_of("a");
  }
  {
    ASSERT_TRUE(store_->new_layer());
  }
  expect_nothing();
}

TEST_F(CommitTest, PutsLayersBlobsAndTheImageInTheirPlaces) {
  std::vector<LayerDraft> drafts;
  drafts.push_back(draft_of("a"));
  drafts.push_back(draft_of("b", /*with_blob=*/false));
  Result<std::optional<Image>> made =
      store_->commit(std::move(drafts), image_of({"a", "b"}, "two"));
  ASSERT_TRUE(made) << made.error().message();
  EXPECT_EQ((*made)->tags, std::vector<std::string>{"docker.io/library/two:latest"});
  EXPECT_TRUE((*made)->made_here);
  EXPECT_EQ(content(store_->mount_plan(**made)->lower.back() + "/file"), "a");
  EXPECT_EQ(content(store_->mount_plan(**made)->lower.front() + "/file"), "b");
  EXPECT_TRUE(*store_->has_layer(diff_id("b")));
  EXPECT_FALSE(*store_->has_layer(diff_id("c")));
  EXPECT_EQ(store_->mount_plan({diff_id("c")}).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(store_->blobs_of(diff_id("a"))->front().digest, blob_of("a").digest);
  EXPECT_TRUE(store_->blobs_of(diff_id("b"))->empty());
  EXPECT_TRUE(store_->open_blob(blob_of("a").digest));
  EXPECT_EQ(store_->open_blob(blob_of("b").digest).error().kind(), ErrorKind::kNotFound);
  EXPECT_EQ(names_in("incoming"), "");
  // The manifest names what there is: a blob, or the plain tar.
  Result<oci::Manifest> manifest = oci::parse_manifest((*made)->manifest_json);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->layers[0].digest, blob_of("a").digest);
  EXPECT_EQ(manifest->layers[1].digest, diff_id("b"));
  EXPECT_EQ(manifest->layers[1].media_type, oci::kMediaTypeLayerTar);
  ASSERT_TRUE(store_->remove("two", false, {}));
  expect_nothing();
}

TEST_F(CommitTest, AnOverlaysWorkFolderDoesNotTravel) {
  LayerDraft draft = [&] {
    Result<LayerDraft> made = store_->new_layer();
    EXPECT_EQ(info_of(made->work_path()).st_mode & 07777, 0700u);
    std::ofstream(made->work_path() + "/left") << "x";
    archive::Packed packed = pack(*made, "a");
    EXPECT_TRUE(made->finish({packed.diff_id, packed.tar_size, {}}));
    return std::move(*made);
  }();
  ASSERT_TRUE(store_->commit(list(std::move(draft)), image_of({"a"})));
  EXPECT_EQ(names_in("layers/" + diff_id("a").hex()).find("work"), std::string::npos);
  EXPECT_FALSE(std::filesystem::exists(root_ + "/layers/" + diff_id("a").hex() + "/fs"));
}

TEST_F(CommitTest, AnExactManifestIsKeptAndReplacesOneOfOurs) {
  NewImage image = image_of({"a"}, "pulled");
  ASSERT_TRUE(store_->commit(list(draft_of("a")), image));
  image.manifest_json = manifest_of(image, {blob_of("a")}) + " ";
  image.sources = {{"docker.io/library/pulled", sys::sha256("an index")}};
  Result<std::optional<Image>> again = store_->commit({}, image);
  ASSERT_TRUE(again) << again.error().message();
  EXPECT_EQ((*again)->manifest_json, image.manifest_json);
  EXPECT_FALSE((*again)->made_here);
  EXPECT_EQ(*store_->distributable_manifest(**again), image.manifest_json);
  EXPECT_EQ((*again)->repo_digests,
            std::vector<std::string>{"docker.io/library/pulled@" + sys::sha256("an index").str()});
  EXPECT_EQ(store_->find("pulled@" + sys::sha256("an index").str())->id, (*again)->id);
  image.manifest_json.clear();
  EXPECT_FALSE((*store_->commit({}, image))->made_here) << "the exact one stays";
}

TEST_F(CommitTest, PartsThatDoNotBelongTogetherAreRefused) {
  NewImage image = image_of({"a", "b"});
  Result<std::optional<Image>> made = store_->commit(list(draft_of("a")), image);
  ASSERT_FALSE(made);
  EXPECT_EQ(made.error().kind(), ErrorKind::kCorrupt);
  EXPECT_NE(made.error().message().find(diff_id("b").str()), std::string::npos);
  image.manifest_json = manifest_of(image, {blob_of("a")});
  EXPECT_FALSE(store_->commit({}, image)) << "fewer layers than the configuration has";
  NewImage other = image_of({"a"});
  other.manifest_json = manifest_of(image_of({"b"}), {blob_of("a")});
  EXPECT_FALSE(store_->commit({}, other)) << "another configuration's manifest";
  std::vector<LayerDraft> both;
  both.push_back(draft_of("a"));
  both.push_back(draft_of("b"));
  image.manifest_json = manifest_of(image, {blob_of("b"), blob_of("a")});
  made = store_->commit(std::move(both), image);
  ASSERT_FALSE(made) << "layers in another order";
  EXPECT_NE(made.error().message().find("unpacks to"), std::string::npos) << made.error().message();
  expect_nothing();
}

TEST_F(CommitTest, ABlobOfAnotherSizeIsRefused) {
  Result<LayerDraft> draft = store_->new_layer();
  ASSERT_TRUE(draft);
  ASSERT_TRUE(sys::write_all(*draft->blob_fd(), "short"));
  EXPECT_EQ(draft->finish({diff_id("a"), 1, blob_of("a")}).error().kind(), ErrorKind::kCorrupt);
}

TEST_F(CommitTest, WhatRunsWithinIsPartOfTheTransaction) {
  auto fails = [] { return Result<void>(Error(ErrorKind::kConflict, "no")); };
  EXPECT_FALSE(store_->commit(list(draft_of("a")), image_of({"a"}), fails));
  expect_nothing();
  bool seen = false;
  auto looks = [&]() -> Result<void> {
    seen = state::get_layer(*database_, diff_id("a").str())->has_value();
    return {};
  };
  EXPECT_TRUE(store_->commit(list(draft_of("a")), std::nullopt, looks));
  EXPECT_TRUE(seen);
}

TEST_F(CommitTest, TwoProcessesMayCommitTheSameLayer) {
  constexpr int kProcesses = 4;
  store_.reset();
  database_.reset();
  sys::Pipe go = std::move(*sys::make_pipe());
  std::vector<pid_t> children;
  for (int i = 0; i < kProcesses; ++i) {
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      go.write.reset();
      open();
      LayerDraft draft = draft_of("same");
      char byte = 0;
      [[maybe_unused]] ssize_t end = read(go.read.get(), &byte, 1);
      bool made{
          store_->commit(list(std::move(draft)), image_of({"same"}, "n" + std::to_string(i)))};
      _exit(made ? 0 : 1);
    }
    children.push_back(pid);
  }
  go.write.reset();
  for (pid_t child : children) {
    int status = -1;
    ASSERT_EQ(waitpid(child, &status, 0), child);
    EXPECT_EQ(status, 0);
  }
  open();
  // Objects of one that came late stay while another one counts on objects.
  ASSERT_TRUE(store_->sweep());
  EXPECT_EQ(names_in("incoming"), "");
  EXPECT_EQ(names_in("layers"), diff_id("same").hex());
  EXPECT_EQ(names_in("blobs/sha256"), blob_of("same").digest.hex());
  EXPECT_EQ(store_->find("n0")->tags.size(), static_cast<size_t>(kProcesses));
}

TEST_F(CommitTest, AListedBlobWithoutARecordIsSwept) {
  for (const char* point : {"store.layer.renamed", "store.image.before", "state.commit.before"}) {
    SCOPED_TRACE(point);
    store_.reset();
    database_.reset();
    pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
      setenv("WHERRY_FAILPOINT", (std::string(point) + ":kill").c_str(), 1);
      arm_failpoints();
      open();
      [[maybe_unused]] auto made = store_->commit(list(draft_of("a")), image_of({"a"}));
      _exit(0);
    }
    int status = -1;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    EXPECT_TRUE(WIFSIGNALED(status));
    open();
    EXPECT_EQ(names_in("blobs/sha256"), blob_of("a").digest.hex());
    ASSERT_TRUE(store_->sweep());
    expect_nothing();
  }
}

TEST_F(CommitTest, LayersOfTheBuildCacheOutliveImagesUntilTheyAreCollected) {
  auto remember = [&]() -> Result<void> {
    TRY(state::Statement step,
        database_->prepare("INSERT INTO build_steps(key,layer,parts,cost_ms,created_ns,used_ns) "
                           "VALUES('k',?1,'{}',1,1,1)"));
    return step.bind(1, diff_id("a").str()).run();
  };
  ASSERT_TRUE(store_->commit(list(draft_of("a")), image_of({"a"}, "built"), remember));
  Result<Store::Removed> removed = store_->remove("built", false, {});
  ASSERT_TRUE(removed) << removed.error().message();
  EXPECT_EQ(removed->deleted.size(), 1u);
  EXPECT_EQ(removed->bytes, 0u);
  EXPECT_TRUE(*store_->has_layer(diff_id("a")));
  auto nothing = [] { return Result<void>(); };
  Result<uint64_t> pruned = store_->prune_layers(nothing);
  ASSERT_TRUE(pruned);
  EXPECT_EQ(*pruned, 0u);
  EXPECT_TRUE(*store_->has_layer(diff_id("a"))) << "the step still needs it";
  auto forget = [&]() -> Result<void> {
    TRY(state::Statement all, database_->prepare("DELETE FROM build_steps"));
    return all.run();
  };
  pruned = store_->prune_layers(forget);
  ASSERT_TRUE(pruned) << pruned.error().message();
  EXPECT_EQ(*pruned, 1 + blob_of("a").size);
  expect_nothing();
}

TEST_F(CommitTest, BlobSourcesAreRememberedWithTheBlob) {
  ASSERT_TRUE(store_->commit(list(draft_of("a")), image_of({"a"}, "x")));
  for (const char* place : {"host:5000/b", "host:5000/a", "host:5000/b"})
    ASSERT_TRUE(store_->note_blob_source(blob_of("a").digest, place));
  ASSERT_TRUE(store_->note_blob_source(blob_of("b").digest, "host:5000/a"));
  EXPECT_EQ(*store_->blob_sources(blob_of("a").digest),
            (std::vector<std::string>{"host:5000/a", "host:5000/b"}));
  EXPECT_TRUE(store_->blob_sources(blob_of("b").digest)->empty()) << "no such blob is kept";
  ASSERT_TRUE(store_->remove("x", false, {}));
  EXPECT_TRUE(store_->blob_sources(blob_of("a").digest)->empty());
}

TEST_F(CommitTest, AnImportKeepsNoTarAndMakesItAgain) {
  std::string tar = TarBuilder().file("f", std::string(100'000, 'x')).bytes();
  Result<Image> image = import(tar);
  ASSERT_TRUE(image) << image.error().message();
  EXPECT_EQ(names_in("blobs/sha256"), "");
  Result<oci::Manifest> manifest = oci::parse_manifest(*store_->distributable_manifest(*image));
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->layers.front().media_type, oci::kMediaTypeLayerGzip);
  sys::Fd blob = std::move(*store_->open_blob(manifest->layers.front().digest));
  Result<std::string> bytes = sys::read_all(blob.get(), 1u << 20);
  ASSERT_TRUE(bytes);
  EXPECT_EQ(sys::sha256(*bytes), manifest->layers.front().digest);
  EXPECT_LT(bytes->size(), tar.size() / 10);
}

TEST_F(CommitTest, ABuiltLayerIsPackedWhenItIsNeededAndKept) {
  // What a builder does: pack for the digests alone.
  Result<LayerDraft> draft = store_->new_layer();
  ASSERT_TRUE(draft);
  std::optional<archive::Packed> packed = pack(*draft, std::string(50'000, 'y'));
  ASSERT_TRUE(draft->finish({packed->diff_id, packed->tar_size, {}}));
  oci::ImageConfig config;
  config.diff_ids.push_back(packed->diff_id);
  NewImage image{.manifest_json = "", .config_json = oci::to_json(config)};
  Result<std::optional<Image>> made = store_->commit(list(std::move(*draft)), image);
  ASSERT_TRUE(made) << made.error().message();
  std::vector<Digest> told;
  Result<std::string> manifest_json = store_->distributable_manifest(
      **made, [&](const Digest& diff_id) { told.push_back(diff_id); });
  ASSERT_TRUE(manifest_json) << manifest_json.error().message();
  EXPECT_EQ(told, std::vector<Digest>{packed->diff_id});
  Result<oci::Manifest> manifest = oci::parse_manifest(*manifest_json);
  ASSERT_TRUE(manifest);
  EXPECT_EQ(manifest->layers.front().media_type, oci::kMediaTypeLayerGzip);
  EXPECT_TRUE(store_->open_blob(manifest->layers.front().digest));
  EXPECT_EQ(store_->find((*made)->id.str())->manifest_json, *manifest_json);
  EXPECT_EQ(*store_->distributable_manifest(**made), *manifest_json);
  EXPECT_EQ(store_->blob_for(packed->diff_id, archive::Compression::kGzip)->digest,
            manifest->layers.front().digest);
  EXPECT_EQ(names_in("incoming"), "");
}

TEST_F(CommitTest, ALayerWhoseObjectIsDamagedIsNotPackedAndIsHealedByItsLikes) {
  ASSERT_TRUE(store_->commit(list(draft_of("a", /*with_blob=*/false)), image_of({"a"}, "x")));
  const std::string hex = sys::sha256("a").hex();
  const std::string object = root_ + "/objects/" + hex.substr(0, 2) + "/" + hex.substr(2);
  ASSERT_EQ(content(object), "a");
  std::ofstream(object) << "b";
  EXPECT_FALSE(*store_->has_layer(diff_id("a")));
  Result<Blob> blob = store_->blob_for(diff_id("a"), archive::Compression::kGzip);
  ASSERT_FALSE(blob);
  EXPECT_EQ(blob.error().kind(), ErrorKind::kCorrupt) << blob.error().message();
  EXPECT_EQ(names_in("incoming") + names_in("blobs/sha256"), "");
  EXPECT_EQ(store_->blob_for(diff_id("z"), archive::Compression::kGzip).error().kind(),
            ErrorKind::kNotFound);
  ASSERT_TRUE(store_->commit(list(draft_of("a", /*with_blob=*/false)), image_of({"a"}, "x")));
  EXPECT_EQ(content(object), "a");
  EXPECT_TRUE(*store_->has_layer(diff_id("a")));
  EXPECT_TRUE(store_->blob_for(diff_id("a"), archive::Compression::kGzip));
}

}  // namespace
}  // namespace wherry::store
