// The bytes of an EROFS image as the kernel reads them: Linux' Documentation/filesystems/erofs.rst
// and the format's own page, https://erofs.docs.kernel.org/en/latest/ondisk/. Only what images of
// ours have: blocks of 4096 bytes, extended inodes of 64, no data but that of directories and
// symlinks, no compression, no shared attributes.
//
// Where an image has what (docs/formats/erofs-image.md): block 0 the superblock, then inodes, each
// at a multiple of 32 bytes (its number, "nid", is that multiple) and followed by its attributes
// and the end of its data, then the directories' whole blocks.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tree/entry.h"

namespace wherry::tree::erofs {

inline constexpr uint64_t kBlock = 4096;
inline constexpr uint64_t kSlot = 32;
inline constexpr uint64_t kSuperblockOffset = 1024;
inline constexpr uint32_t kMagic = 0xe0f5e1e2;
inline constexpr uint32_t kRootNid = kBlock / kSlot;  // the superblock has 16 bits for it
inline constexpr uint64_t kInodeSize = 64;
inline constexpr uint64_t kDirentSize = 12;

// How an inode's data is laid out.
enum class Data : uint8_t {
  kPlain = 0,   // in blocks
  kInline = 2,  // in blocks, but for the end, which follows the inode
  kChunks = 4,  // in chunks; ours are all holes
};

struct Superblock {
  uint64_t inodes = 0;
  uint32_t blocks = 0;
};
// Block 0, with its checksum.
std::string superblock(const Superblock& values);

struct Inode {
  Data data = Data::kPlain;
  uint64_t size = 0;
  uint32_t number = 0;
  uint32_t links = 1;
  uint32_t first_block = 0;  // of directories' data
};
// The inode of `entry` and what follows it, but for the end of a directory's data.
void append_inode(std::string& out, const Entry& entry, const Inode& inode);
// How many bytes that is.
uint64_t inode_size(const Entry& entry);

// What directories say of a name's type.
uint8_t dirent_type(Type type);

uint32_t crc32c(uint32_t seed, std::string_view bytes);

}  // namespace wherry::tree::erofs
