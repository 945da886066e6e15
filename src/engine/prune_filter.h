// What `container prune`, `image prune` and `system prune` leave alone: until=TIME,
// label=KEY[=VALUE] and label!=KEY[=VALUE], as Docker reads them. Pure.
#pragma once

#include <cstdint>
#include <map>
#include <optional>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry::engine {

class PruneFilter {
 public:
  // Keys other than `allowed` ("until", "label", "label!") are kInvalidArgument, named. `now_ns`:
  // what durations count from.
  static Result<PruneFilter> compile(
      const std::vector<std::pair<std::string, std::string>>& filters,
      const std::vector<std::string_view>& allowed, int64_t now_ns);
  bool matches(int64_t created_ns, const std::map<std::string, std::string>& labels) const;

 private:
  std::optional<int64_t> until_ns_;
  std::vector<std::string> with_, without_;  // KEY or KEY=VALUE
};

}  // namespace wherry::engine
