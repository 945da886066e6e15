// Entry: one name of a file system without its content. A value; the views belong to whoever made
// it (a reader's are valid until its next call).
//
// Layers say what they change: besides what a directory can hold there are whiteouts (the name is
// gone) and opaque directories (what lower layers have below it is gone). Merged trees have
// neither. Source: image-spec 1.1, layer.md.
#pragma once

#include <array>
#include <cstdint>
#include <string_view>
#include <vector>

namespace wherry::tree {

enum class Type : uint8_t {
  kDirectory = 1,
  kFile = 2,
  kSymlink = 3,
  kCharDevice = 4,
  kBlockDevice = 5,
  kFifo = 6,
  kSocket = 7,
  kWhiteout = 8,
};

// SHA-256 of a file's content: the name of an object.
using ObjectId = std::array<uint8_t, 32>;

struct Xattr {
  std::string_view name;  // "user.x", "security.capability"
  std::string_view value;
};

struct Entry {
  // Below the root, without leading or trailing slash, no empty, "." or ".." parts; "" is the root.
  std::string_view path;
  Type type = Type::kFile;
  bool opaque = false;  // of directories in layers
  uint16_t mode = 0;    // permission bits with setuid, setgid, sticky
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;
  uint32_t mtime_ns = 0;
  // Names of one file with several names share a number, 1 and up in the order in which they first
  // appear; 0: the file has this name only. All of them carry the same metadata.
  uint32_t inode = 0;
  uint64_t size = 0;        // of files
  ObjectId object{};        // of files with size > 0
  std::string_view target;  // of symlinks
  uint32_t device_major = 0, device_minor = 0;
  std::vector<Xattr> xattrs;  // sorted by name, each name once
};

// Beyond any of them no record has an entry.
inline constexpr size_t kMaxPath = 4095;
inline constexpr size_t kMaxName = 255;
inline constexpr size_t kMaxTarget = 4095;
inline constexpr uint64_t kMaxFileSize = uint64_t{1} << 46;
inline constexpr size_t kMaxXattrs = 128;
inline constexpr size_t kMaxXattrName = 255;
inline constexpr size_t kMaxXattrBytes = 65535;        // of one value; EROFS has 16 bits for it
inline constexpr size_t kMaxXattrsBytes = 128u << 10;  // of all names and values of an entry

// The order of records: depth first, a directory before what is in it, names of one directory by
// their bytes. That is the order of the paths' bytes with '/' before all others.
int compare_paths(std::string_view a, std::string_view b);

// True when `path` is somewhere below `directory`, not when it is the same.
bool is_below(std::string_view path, std::string_view directory);

// The extended attributes that images may have: user.* of files and directories, but for
// user.overlay.*, and security.capability of files. No others are in a record (what makes one
// drops them): trusted.overlay.* would be believed by the kernel, and copying up a symlink with
// user.* fails.
bool is_xattr_kept(Type type, std::string_view name);

}  // namespace wherry::tree
