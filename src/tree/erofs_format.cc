#include "tree/erofs_format.h"

#include <sys/stat.h>

#include <algorithm>
#include <array>
#include <iterator>

#include "base/text.h"
#include "tree/coding.h"

namespace wherry::tree::erofs {

namespace {

constexpr uint32_t kHasChecksum = 1, kHasMtime = 2;  // compatible features
constexpr uint32_t kHasChunks = 4;                   // incompatible features
constexpr uint8_t kBlockBits = 12;
constexpr uint64_t kChecksumOffset = 4;

constexpr uint16_t kExtendedInode = 1;
constexpr uint64_t kXattrHeader = 12, kXattrEntry = 4;
constexpr uint16_t kChunkBits = 31;  // of blocks: one chunk has 2^43 bytes
constexpr uint32_t kHole = 0xffffffff;

// Prefixes of names are told by number.
enum Prefix : uint8_t { kUser = 1, kTrusted = 4, kSecurity = 6 };

uint64_t aligned(uint64_t size) {
  return (size + 3) / 4 * 4;
}

bool has_object(const Entry& entry) {
  return entry.type == Type::kFile && entry.size > 0;
}

uint64_t chunks(const Entry& entry) {
  return has_object(entry) ? ((entry.size - 1) >> (kChunkBits + kBlockBits)) + 1 : 0;
}

std::string object_path(const ObjectId& object) {
  const std::string hex = to_hex(object);
  return "/" + hex.substr(0, 2) + "/" + hex.substr(2);
}

struct Suffix {
  Prefix prefix;
  std::string_view name;
};

Suffix suffix_of(std::string_view name) {
  constexpr std::string_view kUserDot = "user.", kSecurityDot = "security.";
  if (name.starts_with(kUserDot)) return {kUser, name.substr(kUserDot.size())};
  return {kSecurity, name.substr(kSecurityDot.size())};
}

constexpr uint64_t kObjectPathSize = 2 * sizeof(ObjectId) + 2;

// Calls `each` (prefix, name, value) for every attribute of the inode: overlay's, then the image's.
template <typename F>
void for_xattrs(const Entry& entry, std::string_view object_path, F each) {
  if (has_object(entry)) {
    each(kTrusted, std::string_view("overlay.metacopy"), std::string_view());
    each(kTrusted, std::string_view("overlay.redirect"), object_path);
  }
  for (const Xattr& xattr : entry.xattrs) {
    const Suffix suffix = suffix_of(xattr.name);
    each(suffix.prefix, suffix.name, xattr.value);
  }
}

uint64_t xattrs_size(const Entry& entry) {
  static constexpr char kAnyPath[kObjectPathSize] = {};
  uint64_t size = 0;
  for_xattrs(entry, {kAnyPath, sizeof kAnyPath},
             [&size](Prefix, std::string_view name, std::string_view value) {
               size += aligned(kXattrEntry + name.size() + value.size());
             });
  return size == 0 ? 0 : kXattrHeader + size;
}

void append_xattrs(std::string& out, const Entry& entry) {
  out.append(kXattrHeader, '\0');  // nothing shared, no filter
  for_xattrs(entry, object_path(entry.object),
             [&out](Prefix prefix, std::string_view name, std::string_view value) {
               append_fixed(out, static_cast<uint8_t>(name.size()));
               append_fixed(out, static_cast<uint8_t>(prefix));
               append_fixed(out, static_cast<uint16_t>(value.size()));
               out.append(name).append(value);
               const uint64_t size = kXattrEntry + name.size() + value.size();
               out.append(aligned(size) - size, '\0');
             });
}

uint16_t type_bits(Type type) {
  constexpr std::array<uint16_t, 8> kBits = {0,       S_IFDIR, S_IFREG, S_IFLNK,
                                             S_IFCHR, S_IFBLK, S_IFIFO, S_IFSOCK};
  return kBits[static_cast<size_t>(type)];
}

// What the field holds that each type uses for something else.
uint32_t special(const Entry& entry, const Inode& inode) {
  switch (entry.type) {
    case Type::kDirectory:
      return inode.first_block;
    case Type::kFile:
      return has_object(entry) ? kChunkBits : 0;
    case Type::kCharDevice:
    case Type::kBlockDevice:
      // The kernel's way to put 12 and 20 bits into one word (new_encode_dev).
      return (entry.device_minor & 0xff) | entry.device_major << 8 |
             (entry.device_minor & ~0xffu) << 12;
    default:
      return 0;
  }
}

constexpr std::array<uint32_t, 256> crc_table() {
  std::array<uint32_t, 256> table{};
  for (uint32_t i = 0; i < table.size(); ++i) {
    uint32_t value = i;
    for (int bit = 0; bit < 8; ++bit) value = value >> 1 ^ (value & 1 ? 0x82f63b78 : 0);
    table[i] = value;
  }
  return table;
}

}  // namespace

uint32_t crc32c(uint32_t seed, std::string_view bytes) {
  static constexpr std::array<uint32_t, 256> kTable = crc_table();
  for (const char c : bytes) seed = kTable[(seed ^ static_cast<uint8_t>(c)) & 0xff] ^ seed >> 8;
  return seed;
}

std::string superblock(const Superblock& values) {
  std::string bytes;
  append_fixed(bytes, kMagic);
  append_fixed<uint32_t>(bytes, 0);  // checksum, below
  append_fixed<uint32_t>(bytes, kHasChecksum | kHasMtime);
  append_fixed(bytes, kBlockBits);
  append_fixed<uint8_t>(bytes, 0);  // no extension
  append_fixed<uint16_t>(bytes, kRootNid);
  append_fixed<uint64_t>(bytes, values.inodes);
  append_fixed<uint64_t>(bytes, 0);  // built at: every inode has its own time
  append_fixed<uint32_t>(bytes, 0);
  append_fixed<uint32_t>(bytes, values.blocks);
  append_fixed<uint32_t>(bytes, 0);  // inodes' numbers count from block 0
  append_fixed<uint32_t>(bytes, 0);  // nothing shared
  bytes.append(32, '\0');            // no uuid, no name
  append_fixed<uint32_t>(bytes, kHasChunks);
  bytes.resize(kBlock - kSuperblockOffset);
  const uint32_t checksum = to_little(crc32c(~uint32_t{0}, bytes));
  std::copy_n(reinterpret_cast<const char*>(&checksum), sizeof checksum,
              bytes.begin() + kChecksumOffset);
  return std::string(kSuperblockOffset, '\0') + bytes;
}

void append_inode(std::string& out, const Entry& entry, const Inode& inode) {
  const uint64_t xattrs = xattrs_size(entry);
  append_fixed<uint16_t>(out, kExtendedInode | static_cast<uint16_t>(inode.data) << 1);
  append_fixed<uint16_t>(
      out, static_cast<uint16_t>(xattrs == 0 ? 0 : (xattrs - kXattrHeader) / kXattrEntry + 1));
  append_fixed<uint16_t>(out, type_bits(entry.type) | entry.mode);
  append_fixed<uint16_t>(out, 0);
  append_fixed<uint64_t>(out, inode.size);
  append_fixed<uint32_t>(out, special(entry, inode));
  append_fixed<uint32_t>(out, inode.number);
  append_fixed<uint32_t>(out, entry.uid);
  append_fixed<uint32_t>(out, entry.gid);
  append_fixed<int64_t>(out, entry.mtime_s);
  append_fixed<uint32_t>(out, entry.mtime_ns);
  append_fixed<uint32_t>(out, inode.links);
  out.append(16, '\0');
  if (xattrs > 0) append_xattrs(out, entry);
  for (uint64_t i = 0; i < chunks(entry); ++i) append_fixed(out, kHole);
  if (entry.type == Type::kSymlink) out.append(entry.target);
}

uint64_t inode_size(const Entry& entry) {
  return kInodeSize + xattrs_size(entry) + 4 * chunks(entry) +
         (entry.type == Type::kSymlink ? entry.target.size() : 0);
}

uint8_t dirent_type(Type type) {
  constexpr std::array<uint8_t, 8> kTypes = {0, 2, 1, 7, 3, 4, 5, 6};
  return kTypes[static_cast<size_t>(type)];
}

}  // namespace wherry::tree::erofs
