// `image prune --filter`: which images match. Pure.
#pragma once

#include <cstdint>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "store/store.h"

namespace wherry::engine {

// The same key repeated: any of the values, but for label and label!, which must all hold.
class ImageFilter {
 public:
  // kInvalidArgument for an unknown key or a malformed value; it lists the keys.
  static Result<ImageFilter> for_prune(
      const std::vector<std::pair<std::string, std::string>>& filters, int64_t now_ns);
  bool matches(const store::Image& image) const;
  // Images without a name only.
  bool dangling() const { return dangling_; }

 private:
  bool dangling_ = true;
  std::optional<int64_t> until_ns_;  // made before
  std::vector<std::string> labels_, without_labels_;
};

// "24h" before now, RFC 3339, a date, or seconds since the epoch: nanoseconds since the epoch.
std::optional<int64_t> parse_until(const std::string& text, int64_t now_ns);

}  // namespace wherry::engine
