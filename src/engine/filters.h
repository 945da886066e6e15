// `ps --filter`: which records match. Pure; names of images and containers are resolved by the
// caller.
#pragma once

#include <functional>
#include <optional>
#include <string>
#include <utility>
#include <vector>

#include "engine/engine.h"

namespace wherry::engine {

struct FilterContext {
  // The id ("sha256:...") of an image by any of its names; nullopt: no such image.
  std::function<std::optional<std::string>(const std::string&)> image_id;
  // When a container was made, by any of its names; an error when there is none.
  std::function<Result<std::string>(const std::string&)> created;
};

// Matches a record against all filters: the same key repeated = or, different keys = and.
class Filter {
 public:
  // kInvalidArgument for an unknown key or a malformed value.
  static Result<Filter> compile(const std::vector<std::pair<std::string, std::string>>& filters,
                                const FilterContext& context);
  bool matches(const ContainerRecord& record) const;
  // A status or exit code was asked for: stopped containers are then shown without --all.
  bool wants_stopped() const { return wants_stopped_; }

 private:
  using Predicate = std::function<bool(const ContainerRecord&)>;
  std::vector<std::vector<Predicate>> groups_;
  bool wants_stopped_ = false;
};

}  // namespace wherry::engine
