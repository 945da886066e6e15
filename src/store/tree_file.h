// One file of a checkout: its bytes from an object, its metadata from an entry.
//
// Borrowed descriptors throughout. `shown` is the entry's path in messages. An object that is
// missing or has another size than the entry says is kCorrupt, with what heals it as hint; its
// bytes are not read again here (that is fsck's).
#pragma once

#include <sys/types.h>

#include <string>
#include <string_view>

#include "sys/fd.h"
#include "tree/entry.h"

namespace wherry::store {

// "12/3456...": an object's name below objects/.
std::string object_name(const tree::ObjectId& id);

// An entry's path for messages: "'usr/bin/x'" with control characters escaped, or "the root".
std::string shown_path(std::string_view path);

// The directory's part of a path; empty: the root.
std::string_view parent_of(std::string_view path);

// What an entry is to mknod(2) and stat(2); whiteouts are character devices.
mode_t type_bits(tree::Type type);

// Overlay's mark of a directory that hides what is below it; its value is "y".
inline constexpr const char* kOpaque = "trusted.overlay.opaque";

enum class Filling {
  kReflink,  // shares the object's blocks, or fails
  kCopy,     // shares them where that works
};

// The new file `name` in `dir`, whole. kConflict: the name is taken.
Result<void> make_tree_file(int objects, const tree::Entry& entry, Filling filling, int dir,
                            const std::string& name);

// What a file or directory that is open has besides its content: owner, then attributes, then mode
// (a change of owner clears set-id bits and capabilities), then times.
Result<void> set_metadata(int fd, const tree::Entry& entry);
// The same for what is not opened: symlinks, devices, fifos, sockets.
Result<void> set_metadata_at(int dir, const std::string& name, const tree::Entry& entry);

}  // namespace wherry::store
