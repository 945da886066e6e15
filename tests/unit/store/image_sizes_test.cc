#include "store/image_sizes.h"

#include <gtest/gtest.h>

namespace wherry::store {
namespace {

struct Known {
  std::vector<Image> images;
  std::vector<Chain> chains;

  // `layers`: names whose length is their size. `steps`: created_by of the history.
  size_t add(const std::vector<std::string>& layers, const std::vector<std::string>& steps = {}) {
    std::string history;
    for (const std::string& step : steps)
      history += (history.empty() ? "" : ",") + ("{\"created_by\":\"" + step + "\"}");
    Digest id = *Digest::from_hex(std::string(63, '0') + static_cast<char>('0' + images.size()));
    Image image{.id = id, .manifest = id};
    image.config_json = R"({"architecture":"amd64","os":"linux","config":{},)"
                        R"("rootfs":{"type":"layers","diff_ids":[]},"history":[)" +
                        history + "]}";
    Chain chain;
    for (const std::string& layer : layers) {
      chain.push_back({layer, static_cast<int64_t>(layer.size()), 0, 0});
      image.size += layer.size();
    }
    images.push_back(std::move(image));
    chains.push_back(std::move(chain));
    return images.size() - 1;
  }
  void fill() {
    Result<void> filled = fill_in_sizes(images, chains);
    ASSERT_TRUE(filled) << filled.error().message();
  }
};

TEST(ImageSizes, OwnIsWhatAnImageAddsToTheNearestOneBelow) {
  Known known;
  size_t top = known.add({"base", "middle", "extra", "a"});
  size_t base = known.add({"base"});
  size_t middle = known.add({"base", "middle"});
  known.fill();
  EXPECT_EQ(known.images[base].own_size, 4u) << "all of it, whoever stands on it";
  EXPECT_EQ(known.images[middle].own_size, 6u);
  EXPECT_EQ(known.images[top].own_size, 6u) << "both of its layers";
}

TEST(ImageSizes, UniqueIsWhatNoOtherImageHas) {
  Known known;
  size_t base = known.add({"base"});
  size_t one = known.add({"base", "one"});
  size_t three = known.add({"base", "three"});
  known.fill();
  EXPECT_EQ(known.images[base].unique_size, 0u);
  EXPECT_EQ(known.images[one].unique_size, 3u);
  EXPECT_EQ(known.images[three].unique_size, 5u);
}

TEST(ImageSizes, ALayerInTheMiddleOfAnotherImageIsNothingToStandOn) {
  Known known;
  size_t other = known.add({"other", "base"});
  size_t image = known.add({"base", "one"});
  known.fill();
  EXPECT_EQ(known.images[other].own_size, 9u);
  EXPECT_EQ(known.images[image].own_size, 7u);
}

TEST(ImageSizes, AnImageThatOnlyGoesOnWithTheHistoryOfAnotherOwnsNothing) {
  Known known;
  size_t renamed = known.add({"base"}, {"make", "CMD one"});
  size_t base = known.add({"base"}, {"make"});
  known.fill();
  EXPECT_EQ(known.images[base].own_size, 4u);
  EXPECT_EQ(known.images[renamed].own_size, 0u);
}

TEST(ImageSizes, TwinsWithoutACommonHistoryOwnTheirLayers) {
  Known known;
  size_t one = known.add({"base"}, {"make", "CMD one"});
  size_t two = known.add({"base"}, {"make", "CMD two"});
  size_t three = known.add({"base"});
  size_t four = known.add({"base"});
  known.fill();
  EXPECT_EQ(known.images[one].own_size, 4u);
  EXPECT_EQ(known.images[two].own_size, 4u);
  EXPECT_EQ(known.images[three].own_size, 4u);
  EXPECT_EQ(known.images[four].own_size, 4u);
}

TEST(ImageSizes, AnImageWithoutLayersIsNothing) {
  Known known;
  size_t scratch = known.add({});
  size_t image = known.add({"base"});
  known.fill();
  EXPECT_EQ(known.images[scratch].own_size, 0u);
  EXPECT_EQ(known.images[image].own_size, 4u);
}

}  // namespace
}  // namespace wherry::store
