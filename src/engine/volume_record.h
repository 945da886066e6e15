// A volume as `volume inspect` shows it, its JSON in the database (fact "volume"), and the filters
// of `volume ls` and `volume prune`. Pure.
//
// Only the "local" driver exists: a directory <root>/volumes/NAME/_data. An anonymous volume was
// named by the engine, not by a user. Source: Engine API 1.51, Volume.
#pragma once

#include <map>
#include <string>
#include <string_view>
#include <utility>
#include <vector>

#include "base/result.h"

namespace wherry::engine {

// Docker's mark of volumes that nobody has named.
inline constexpr const char* kAnonymousVolumeLabel = "com.docker.volume.anonymous";

struct Volume {
  std::string name;
  std::string created;  // RFC 3339
  bool anonymous = false;
  std::map<std::string, std::string> labels;
  std::string mountpoint;          // filled from the root when it is read
  std::vector<std::string> users;  // ids of containers that mount it, whatever their state
};

// kInvalidArgument in Docker's words.
Result<void> check_volume_name(std::string_view name);

std::string volume_document(const Volume& volume);
Result<Volume> parse_volume(std::string name, std::string_view document);
// As `volume inspect` prints one: Docker's keys, 4-space indents.
std::string volume_inspect_json(const Volume& volume);

// Filters of ls (name, label, dangling, driver) or prune (label, label!, all).
class VolumeFilter {
 public:
  using Pairs = std::vector<std::pair<std::string, std::string>>;
  static Result<VolumeFilter> for_list(const Pairs& filters);
  static Result<VolumeFilter> for_prune(const Pairs& filters);
  bool matches(const Volume& volume) const;
  // all=true: prune takes named volumes too.
  bool all() const { return all_; }

 private:
  Pairs pairs_;
  bool all_ = false;
};

}  // namespace wherry::engine
