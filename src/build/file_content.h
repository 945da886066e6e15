// What is in a file, apart from its name: its bytes and the attributes that travel with it.
//
// Attributes that travel are those that a layer may have (archive/layer_rules.h).
#pragma once

#include <sys/stat.h>

#include <optional>
#include <string>
#include <vector>

#include "base/digest.h"
#include "base/result.h"

namespace wherry::build {

struct Attribute {
  std::string name;
  std::string value;
};

// Sorted by name. `fd` is open for reading; a file system without attributes has none. kNotFound
// when one goes away meanwhile.
Result<std::vector<Attribute>> read_attributes(int fd);
// None for no attributes.
std::optional<Digest> digest_of(const std::vector<Attribute>& attributes);
// SHA-256 of the whole file, read with pread(2) from its start.
Result<Digest> hash_content(int fd);

// The same file, not written to between the two: device, inode, size, mtime and ctime.
bool same_state(const struct stat& a, const struct stat& b);
int64_t nanoseconds(const timespec& time);

// Whether a file last changed at `ctime_ns` may be remembered when reading it began at `read_ns`
// (both of CLOCK_REALTIME). A write right after the reading could leave the same ctime: clocks of
// file systems tick in up to 10 ms, on FAT and ext3 in seconds. git calls such entries racy.
bool may_remember(int64_t ctime_ns, int64_t read_ns);

}  // namespace wherry::build
