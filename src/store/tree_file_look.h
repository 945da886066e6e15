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

// Type, mode, owner, size and time; and that it is not marked. Of a time as far as the file system
// can keep it.
std::string_view metadata_difference(const tree::Entry& entry, const struct stat& info);

// The rest: a file's content and attributes, a directory's attributes (not its names), a link's
// target. `name` below `dir` has the entry's type. `read`: bytes of content are added.
Result<std::string_view> content_difference(const tree::Entry& entry, int dir,
                                            const std::string& name, uint64_t& read);

// What is wrong in a way that its metadata does not show gets another time, for whoever looks next:
// marking it, or taking a name of it away, gives it a new time of change, as if it were right. Best
// effort.
void mark_damaged(int dir, const std::string& name, const tree::Entry& entry);

}  // namespace wherry::store
