// The ladder: what a container's overlay can stand on here, best first.
//
// A rung is tried by doing on a small scale what a container would do, in the store's own file
// system: no version of a kernel is asked for. What was found is kept as a file in the run root,
// which a boot empties, and holds for this kernel and this root. docs/design/store.md has the
// rungs' meaning; the user forces one with the configuration's `storage-driver`.
#pragma once

#include <optional>
#include <string>
#include <string_view>

#include "state/database.h"
#include "store/incoming.h"

namespace wherry::store {

enum class Rung { kErofs, kFarm, kReflink, kLayers };

inline constexpr Rung kRungs[] = {Rung::kErofs, Rung::kFarm, Rung::kReflink, Rung::kLayers};

std::string_view rung_name(Rung rung);
// A value of `storage-driver`. kUnsupported: one of Docker's; kInvalidArgument: none at all.
Result<Rung> parse_rung(std::string_view name);

// Tries it in `scratch`, an empty directory given by its absolute path; what is made there is left
// to its owner. The error has the kernel's reason.
Result<void> probe_rung(Rung rung, const std::string& scratch);

// The best that works, or `forced` if that does. kUnsupported: it does not. A machine out of space,
// memory or descriptors is an error and never a reason to take a worse one. Costs one read when it
// is known. `run_root`: the run root's directory.
Result<Rung> choose_rung(const Places& places, state::Database& database, int run_root,
                         std::optional<Rung> forced);

}  // namespace wherry::store
