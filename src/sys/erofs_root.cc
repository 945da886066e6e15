#include "sys/erofs_root.h"

#include <endian.h>
#include <unistd.h>

#include <cerrno>

#include "sys/fd.h"

namespace wherry::sys {
namespace {

constexpr uint32_t kMagic = 0xE0F5E1E2;
constexpr off_t kSuperblockAt = 1024;
constexpr uint8_t kBlockBits = 12;
constexpr off_t kBlockSize = off_t{1} << kBlockBits;
constexpr off_t kInodeUnit = 32;
constexpr uint16_t kExtended = 1;  // the lowest bit of an inode's format

struct Superblock {
  uint32_t magic, checksum, compatible_features;
  uint8_t block_bits, extra_slots;
  uint16_t root;
  uint64_t inodes, time;
  uint32_t time_nsec, blocks, inodes_at_block;
};

struct Inode {
  uint16_t format, attributes, mode, reserved;
  uint64_t size;
  uint32_t data, number, uid, gid;
  uint64_t mtime;
  uint32_t mtime_nsec, links;
};

template <typename T>
Result<T> read_at(const Fd& file, off_t offset) {
  T value;
  ssize_t got = 0;
  do got = pread(file.get(), &value, sizeof value, offset);
  while (got < 0 && errno == EINTR);
  if (got < 0) return Error::from_errno(errno, "cannot read the root directory");
  if (got != ssize_t{sizeof value}) return Error(ErrorKind::kCorrupt, "the image is cut short");
  return value;
}

}  // namespace

Result<std::optional<struct stat>> erofs_root(const std::string& file) {
  TRY(const Fd image, open_file(file, O_RDONLY));
  TRY(const Superblock super, read_at<Superblock>(image, kSuperblockAt));
  if (le32toh(super.magic) != kMagic || super.block_bits != kBlockBits)
    return Error(ErrorKind::kCorrupt, "it is not an image of ours");
  const off_t at = le32toh(super.inodes_at_block) * kBlockSize + le16toh(super.root) * kInodeUnit;
  TRY(const Inode root, read_at<Inode>(image, at));
  if ((le16toh(root.format) & kExtended) == 0 || !S_ISDIR(le16toh(root.mode)))
    return Error(ErrorKind::kCorrupt, "its root is not a directory as we write them");
  if (root.attributes != 0) return std::optional<struct stat>();
  struct stat info{};
  info.st_mode = le16toh(root.mode);
  info.st_uid = le32toh(root.uid);
  info.st_gid = le32toh(root.gid);
  info.st_mtim = {static_cast<time_t>(le64toh(root.mtime)),
                  static_cast<long>(le32toh(root.mtime_nsec))};
  return std::optional(info);
}

}  // namespace wherry::sys
