// Paths beneath a root, as a process whose "/" it is would see them, worked out to the end: no
// links, no "..", no "/" in front. What is opened by such a path later may forbid links altogether
// (sys::open_without_links), so that nobody can slip one in between.
#pragma once

#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::build {

struct Resolved {
  std::string path;    // the root itself: ""
  bool exists = true;  // false: the last part, or more of it, is not there yet
};

// Follows all links in `path`, the last one too; ".." at the root stays there. A part that is no
// directory but has something behind it is an error (ENOTDIR), as is a loop (ELOOP).
Result<Resolved> resolve_links(int root, std::string_view path);

// The parts without "" and ".".
std::vector<std::string> path_parts(std::string_view path);
// "a" + "b" -> "a/b"; either may be empty.
std::string join_path(std::string_view parent, std::string_view name);
// "a/b/c" -> {"a/b", "c"}; "c" -> {"", "c"}.
std::pair<std::string, std::string> split_path(const std::string& path);
// A name as text for messages and keys: control characters, backslashes and whatever is not ASCII
// as "\xNN". Two names never become the same text.
std::string escape_name(std::string_view name);

}  // namespace wherry::build
