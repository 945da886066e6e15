#include "engine/image_filter.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"
#include "oci/image.h"

namespace wherry::engine {
namespace {

constexpr int64_t kSecond = 1'000'000'000;

bool has_label(const oci::ImageRunConfig& config, const std::string& wanted) {
  auto [key, value] = split_once(wanted, '=');
  auto found = config.labels.find(std::string(key));
  return found != config.labels.end() && (!value || found->second == *value);
}

Error invalid(const std::string& key, const std::string& value) {
  return Error(ErrorKind::kInvalidArgument, "invalid filter '" + key + "=" + value + "'");
}

}  // namespace

std::optional<int64_t> parse_until(const std::string& text, int64_t now_ns) {
  if (auto duration = parse_go_duration(text)) return now_ns - *duration;
  if (auto seconds = parse_i64(text))
    return *seconds > INT64_MAX / kSecond ? std::nullopt : std::optional(*seconds * kSecond);
  // Shorter forms of RFC 3339 are in UTC: a date, a minute, a second.
  if (auto time = parse_rfc3339(text)) return time;
  for (const char* rest : {"Z", ":00Z", ":00:00Z", "T00:00:00Z"})
    if (auto time = parse_rfc3339(text + rest)) return time;
  return std::nullopt;
}

Result<ImageFilter> ImageFilter::for_prune(
    const std::vector<std::pair<std::string, std::string>>& filters, int64_t now_ns) {
  ImageFilter filter;
  for (const auto& [key, value] : filters) {
    if (key == "dangling") {
      if (value != "true" && value != "false" && value != "1" && value != "0")
        return invalid(key, value);
      filter.dangling_ = value == "true" || value == "1";
    } else if (key == "label") {
      filter.labels_.push_back(value);
    } else if (key == "label!") {
      filter.without_labels_.push_back(value);
    } else if (key == "until") {
      if (filter.until_ns_)
        return Error(ErrorKind::kInvalidArgument, "more than one until filter specified");
      filter.until_ns_ = parse_until(value, now_ns);
      if (!filter.until_ns_) return invalid(key, value);
    } else {
      return Error(ErrorKind::kInvalidArgument, "invalid filter '" + key + "'")
          .set_hint("filters are dangling, label, label! and until");
    }
  }
  return filter;
}

bool ImageFilter::matches(const store::Image& image) const {
  if (until_ns_ && image.created_ns >= *until_ns_) return false;
  if (labels_.empty() && without_labels_.empty()) return true;
  Result<oci::ImageConfig> config = oci::parse_image_config(image.config_json);
  if (!config) return false;
  auto has = [&](const std::string& label) { return has_label(config->config, label); };
  return std::ranges::all_of(labels_, has) && std::ranges::none_of(without_labels_, has);
}

}  // namespace wherry::engine
