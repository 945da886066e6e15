// How records are laid out, for their writer and their reader; docs/formats/tree-record.md.
#pragma once

#include <cstddef>
#include <cstdint>
#include <string_view>

namespace wherry::tree {

inline constexpr std::string_view kRecordMagic = "wherrytr";
inline constexpr uint8_t kRecordVersion = 1;
inline constexpr size_t kRecordHeader = 16;
inline constexpr size_t kRecordDigest = 32;
// The end's tag, entries, files_size, inodes, digest.
inline constexpr size_t kRecordTrailer = 1 + 8 + 8 + 4 + kRecordDigest;

// The first byte of an entry: its type or one of these, and flags.
inline constexpr uint8_t kTagEnd = 0;
inline constexpr uint8_t kTagLink = 9;  // another name of an inode
inline constexpr uint8_t kTagType = 0x0f;
inline constexpr uint8_t kTagOpaque = 0x10;
inline constexpr uint8_t kTagSameOwner = 0x20;  // mode, uid, gid as the entry before
inline constexpr uint8_t kTagXattrs = 0x40;
inline constexpr uint8_t kTagShared = 0x80;  // the first name of an inode with several

// What an entry is told against.
struct Before {
  uint16_t mode = 0;
  uint32_t uid = 0;
  uint32_t gid = 0;
  int64_t mtime_s = 0;
};

}  // namespace wherry::tree
