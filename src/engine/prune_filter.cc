#include "engine/prune_filter.h"

#include <algorithm>

#include "base/clock.h"
#include "base/text.h"

namespace wherry::engine {
namespace {

bool has_label(const std::map<std::string, std::string>& labels, std::string_view wanted) {
  auto [key, value] = split_once(wanted, '=');
  auto found = labels.find(std::string(key));
  return found != labels.end() && (!value || found->second == *value);
}

}  // namespace

Result<PruneFilter> PruneFilter::compile(
    const std::vector<std::pair<std::string, std::string>>& filters,
    const std::vector<std::string_view>& allowed, int64_t now_ns) {
  PruneFilter filter;
  for (const auto& [key, value] : filters) {
    if (std::ranges::find(allowed, key) == allowed.end())
      return Error(ErrorKind::kInvalidArgument, "invalid filter '" + key + "'")
          .set_hint("filters here: " +
                    join(std::vector<std::string>(allowed.begin(), allowed.end()), ", "));
    if (key == "until") {
      auto time = parse_time_bound(value, now_ns);
      if (!time)
        return Error(ErrorKind::kInvalidArgument, "invalid filter 'until=" + value + "'")
            .set_hint(
                "use a time such as 2026-01-31T10:00:00Z, Unix seconds, or a duration such as "
                "24h");
      if (filter.until_ns_)
        return Error(ErrorKind::kInvalidArgument, "more than one until filter specified");
      filter.until_ns_ = time;
    } else {
      (key == "label" ? filter.with_ : filter.without_).push_back(value);
    }
  }
  return filter;
}

bool PruneFilter::matches(int64_t created_ns,
                          const std::map<std::string, std::string>& labels) const {
  auto there = [&](const std::string& wanted) { return has_label(labels, wanted); };
  if (until_ns_ && created_ns >= *until_ns_) return false;
  return std::ranges::all_of(with_, there) && std::ranges::none_of(without_, there);
}

}  // namespace wherry::engine
