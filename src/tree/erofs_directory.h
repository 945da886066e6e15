// How the names of an EROFS directory fall into its blocks.
//
// A block is the dirents of its names and then the names; all names of a directory are sorted by
// their bytes, "." and ".." among them. The sizes are the same whatever the inodes' numbers are, so
// an image can be laid out before they are known.
#pragma once

#include <cstdint>
#include <string>
#include <string_view>

#include "tree/erofs_format.h"

namespace wherry::tree::erofs {

// Sizes alone.
class DirectorySize {
 public:
  // False: the name is the first of another block.
  bool add(size_t name) {
    const uint64_t size = kDirentSize + name;
    const bool fits = used_ + size <= kBlock;
    if (!fits) {
      ++full_blocks_;
      used_ = 0;
    }
    used_ += size;
    return fits;
  }
  uint32_t full_blocks() const { return full_blocks_; }
  uint64_t used() const { return used_; }  // of the last block

 private:
  uint32_t full_blocks_ = 0;
  uint64_t used_ = 0;
};

// Puts "." and ".." where they belong: calls `emit` (name, is_parent) for those that come before
// `name`.
class Dots {
 public:
  template <typename F>
  void before(std::string_view name, F emit) {
    if (!self_ && name > ".") self_ = true, emit(std::string_view("."), false);
    if (!parent_ && name > "..") parent_ = true, emit(std::string_view(".."), true);
  }
  // At the end of the directory.
  template <typename F>
  void rest(F emit) {
    before("\xff", emit);
  }

 private:
  bool self_ = false, parent_ = false;
};

// One block being filled.
class DirectoryBlock {
 public:
  void add(std::string_view name, uint64_t nid, uint8_t type);
  // Its bytes, not padded; it is empty again.
  std::string take();

 private:
  std::string dirents_;  // their name offsets count from 0
  std::string names_;
};

}  // namespace wherry::tree::erofs
