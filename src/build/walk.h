// Walking what a source names: a file, or a directory with everything in it that no rule excludes.
// One descriptor at a time is open, however deep the tree; the status of each name is read once.
#pragma once

#include <functional>
#include <string>
#include <vector>

#include "build/chmod.h"
#include "build/copy.h"

namespace wherry::build {

// Longer paths cannot be opened in a container either.
inline constexpr size_t kMaxSourcePath = 4095;
inline constexpr size_t kMaxEntries = 2'000'000;  // a guard: each takes some 300 bytes

struct WalkRules {
  const SourceTree* tree = nullptr;
  PathRules exclude;                // --exclude; paths below the source's base
  std::optional<ModeChange> chmod;  // --chmod
  std::vector<std::string>* notes = nullptr;
};

// The fields of an entry that follow from a file's status. False: a type that is not copied.
bool describe(const struct stat& status, const WalkRules& rules, Entry& entry);

// Adds what is in the directory `base`/`path`, not the directory itself. `excluded`: it is, and
// only what a "!" rule lets in again is wanted; `path` and the directories on the way are then
// added (implied) before the first such entry.
Result<void> walk_directory(const WalkRules& rules, const std::string& base,
                            const std::string& path, bool excluded, std::vector<Entry>& entries);
// Adds one entry for `base`/`path`, links not followed, and for a directory what is in it.
Result<void> walk_entry(const WalkRules& rules, const std::string& base, const std::string& path,
                        std::vector<Entry>& entries);
// The names in an opened directory, sorted by bytes.
Result<std::vector<std::string>> names_in(sys::Fd directory);

}  // namespace wherry::build
