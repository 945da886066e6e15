// Who a process runs as: Docker's user words, looked up in the container's own /etc/passwd and
// /etc/group.
//
// The files are foreign bytes: opened inside the root without blocking, regular files only, at most
// 1 MiB each. Numbers are never taken for names (a user called "1000" in an image does not become
// uid 1000's identity), and need no entry. Sources: passwd(5), group(5), docker run's --user.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"

namespace wherry::runtime {

struct ResolvedUser {
  uint32_t uid = 0;
  uint32_t gid = 0;
  std::vector<uint32_t> groups;  // supplementary, the primary group first
  std::string home = "/";
};

// `words`: "name", "uid", "name:group", "uid:gid". Strict: "", "1:", ":1" and numbers above 2^31 -
// 1 are kInvalidArgument; so is a name without an entry: "unable to find user x: no matching
// entries in passwd file". Lines that do not parse are skipped, as libc does.
Result<ResolvedUser> resolve_user(std::string_view words, std::string_view passwd,
                                  std::string_view group);

// As above with the files below `root` (an O_PATH or directory fd); missing files are empty.
Result<ResolvedUser> lookup_user(int root, std::string_view words);

// The home of a number's first entry below `root`; "/" where there is none or no file to be read.
std::string home_of(int root, uint32_t uid);

}  // namespace wherry::runtime
