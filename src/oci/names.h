// The names of the distribution spec: repositories and tags, as every client and server writes them
// into URLs and paths. Source: OCI distribution-spec 1.1, "Pulling manifests".
#pragma once

#include <string_view>

namespace wherry::oci {

inline constexpr size_t kMaxRepository = 255;
inline constexpr size_t kMaxTag = 128;

// Components joined by '/', each [a-z0-9]+ joined by '.', '_', '__' or any number of '-'.
bool is_repository(std::string_view name);
// [a-zA-Z0-9_][a-zA-Z0-9._-]{0,127}
bool is_tag(std::string_view text);

}  // namespace wherry::oci
