// Whether a name in a checkout still is what an entry says.
//
// Each returns what is wrong in words that follow the path, "has another owner"; empty: nothing.
// Inside store/ only.
#pragma once

#include <sys/stat.h>

#include <string>
#include <string_view>

#include "sys/fd.h"
#include "tree/entry.h"

namespace wherry::store {

// Type, mode, owner, size and, but for directories, time. Of a time as far as a file system with
// whole seconds can tell.
std::string_view metadata_difference(const tree::Entry& entry, const struct stat& info);

// The rest: a file's content and attributes, a directory's attributes (not its names), a link's
// target. `name` below `dir` has the entry's type. `read`: bytes of content are added.
Result<std::string_view> content_difference(const tree::Entry& entry, int dir,
                                            const std::string& name, uint64_t& read);

// A directory's time, which changes with what is in it.
bool has_time_of(const tree::Entry& entry, const struct stat& info);

}  // namespace wherry::store
