// The text of RUN --mount: fields separated by commas, "key=value" or a key alone, CSV quotes.
// Inside build/ only; expand_mount() is in expand.h.
#pragma once

#include "build/expand.h"

namespace wherry::build {

// Reads all fields. Without an expander variables stay, and a value that has one is not checked:
// what can be said of a mount when the file is parsed.
Result<Mount> read_mount(std::string_view text, const Expander* expander);

// "bind", "cache", ...
std::string_view mount_type_name(MountType type);

}  // namespace wherry::build
