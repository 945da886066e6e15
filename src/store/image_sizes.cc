#include "store/image_sizes.h"

#include <algorithm>
#include <map>
#include <set>
#include <string>

#include "oci/image.h"

namespace wherry::store {
namespace {

// The first `count` layers of a chain as one text.
std::string key_of(const Chain& chain, size_t count) {
  std::string key;
  for (size_t i = 0; i < count; ++i) key += chain[i].diff_id + "\n";
  return key;
}

bool same_step(const oci::History& a, const oci::History& b) {
  return a.created == b.created && a.created_by == b.created_by && a.empty_layer == b.empty_layer;
}

Result<bool> goes_on_from(const Image& above, const Image& below) {
  TRY_CTX(oci::ImageConfig longer, oci::parse_image_config(above.config_json), "damaged state");
  TRY_CTX(oci::ImageConfig shorter, oci::parse_image_config(below.config_json), "damaged state");
  return !shorter.history.empty() && shorter.history.size() < longer.history.size() &&
         std::ranges::equal(shorter.history,
                            std::span(longer.history).first(shorter.history.size()), same_step);
}

// Of the images with the very same layers: does this one stand on another?
Result<bool> stands_on_a_twin(std::span<const Image> images, const std::vector<size_t>& twins,
                              size_t self) {
  for (size_t other : twins) {
    if (other == self) continue;
    TRY(bool stands, goes_on_from(images[self], images[other]));
    if (stands) return true;
  }
  return false;
}

}  // namespace

Result<void> fill_in_sizes(std::span<Image> images, std::span<const Chain> chains) {
  std::map<std::string, std::set<size_t>> users;
  std::map<std::string, std::vector<size_t>> by_chain;
  for (size_t i = 0; i < images.size(); ++i) {
    for (const state::LayerRow& layer : chains[i]) users[layer.diff_id].insert(i);
    by_chain[key_of(chains[i], chains[i].size())].push_back(i);
  }
  for (size_t i = 0; i < images.size(); ++i) {
    const Chain& chain = chains[i];
    size_t below = chain.size();
    TRY(bool nothing_new, stands_on_a_twin(images, by_chain[key_of(chain, chain.size())], i));
    if (!nothing_new)
      while (below > 0 && !by_chain.contains(key_of(chain, --below))) {
      }
    images[i].own_size = images[i].unique_size = 0;
    for (size_t n = 0; n < chain.size(); ++n) {
      auto bytes = static_cast<uint64_t>(chain[n].size);
      if (n >= below) images[i].own_size += bytes;
      if (users[chain[n].diff_id].size() == 1) images[i].unique_size += bytes;
    }
  }
  return {};
}

}  // namespace wherry::store
