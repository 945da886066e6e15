#include "tree/erofs_directory.h"

#include <algorithm>
#include <utility>

#include "tree/coding.h"

namespace wherry::tree::erofs {

namespace {
constexpr size_t kNameOffset = 8;  // in a dirent, behind the inode's number
}  // namespace

void DirectoryBlock::add(std::string_view name, uint64_t nid, uint8_t type) {
  append_fixed<uint64_t>(dirents_, nid);
  append_fixed<uint16_t>(dirents_, static_cast<uint16_t>(names_.size()));
  append_fixed<uint8_t>(dirents_, type);
  append_fixed<uint8_t>(dirents_, 0);
  names_.append(name);
}

std::string DirectoryBlock::take() {
  for (size_t at = kNameOffset; at < dirents_.size(); at += kDirentSize) {
    const auto offset = load_fixed<uint16_t>(dirents_.data() + at);
    const uint16_t moved = to_little(static_cast<uint16_t>(offset + dirents_.size()));
    std::copy_n(reinterpret_cast<const char*>(&moved), sizeof moved, dirents_.data() + at);
  }
  std::string block = std::exchange(dirents_, {});
  block += names_;
  names_.clear();
  return block;
}

}  // namespace wherry::tree::erofs
