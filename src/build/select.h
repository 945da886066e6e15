// The parts of select() (build/copy.h) that tests and its neighbours use by themselves.
#pragma once

#include <string>
#include <vector>

#include "build/copy.h"

namespace wherry::build {

// Paths, relative to `base` (resolved), of what `pattern` matches, sorted; links are not followed
// on the way. `deep`: a component "**" is any number of directories. Ignored paths do not match,
// nor do ignored directories that nothing can be let back into.
Result<std::vector<std::string>> expand_wildcard(const SourceTree& tree, const std::string& base,
                                                 const std::string& pattern, bool deep);

// The key's preimage of a selection that is complete.
std::string key_parts(const Selection& selection, const CopySpec& spec);

// "COPY failed: file 'x' not found in ...", with a hint: ignored, a dangling link, or a name that
// is near.
Error source_not_found(const CopySpec& spec, const CopySource& source, const std::string& path);

}  // namespace wherry::build
