// A merged tree as an EROFS image: metadata only, for a mount under overlay with the objects as its
// data-only lower. Nothing of it is content: a file with bytes in it is a hole of its size that
// says which object overlay shows instead (/xx/<62 hex>, below the objects' folder). The image
// depends on the entries alone: the same tree gives the same bytes.
//
// Inodes come before the directories that name them and have numbers that follow from the sizes of
// all before, so the entries are seen twice, first by a layout, then by a writer:
//   ErofsLayout layout;
//   for each entry: layout.add(entry);
//   layout.finish();
//   ErofsWriter writer(layout, sink);
//   for each entry again: writer.add(entry);
//   writer.finish();
// Memory: 4 bytes for each entry, 16 for each directory, 8 for each inode with several names, and a
// block for each directory above the entry at hand.
#pragma once

#include <cstdint>
#include <functional>
#include <memory>
#include <string>
#include <string_view>
#include <vector>

#include "base/result.h"
#include "tree/erofs_directory.h"
#include "tree/source.h"

namespace wherry::tree {

// Bytes for a place in the image. Every byte comes once and most come in order, but not all.
using ErofsSink = std::function<Result<void>(uint64_t offset, std::string_view bytes)>;

class ErofsLayout {
 public:
  // The entries of a tree (RecordKind::kTree), in order. kInternal: they are none;
  // kResourceExhausted: no image can be so large.
  Result<void> add(const Entry& entry);
  Result<void> finish();

  // After finish().
  uint64_t image_size() const { return uint64_t{blocks_} * erofs::kBlock; }
  uint64_t inodes() const { return inodes_; }

 private:
  friend class ErofsWriter;
  struct Directory {
    uint32_t full_blocks = 0;
    uint32_t used = 0;         // of the last block
    uint32_t first_block = 0;  // counted from that of the first directory, until finish()
    uint32_t links = 2;
    uint64_t size() const { return full_blocks * erofs::kBlock + used; }
  };
  struct Shared {
    uint32_t nid;
    uint32_t names;
  };
  struct Open {   // a directory above the entry at hand
    size_t path;  // the length of its path
    uint32_t entry, directory;
    uint64_t inode_size;
    erofs::DirectorySize size;
    erofs::Dots dots;
  };

  Result<uint32_t> place_entry(const Entry& entry);
  Result<uint32_t> place(uint64_t size, uint64_t end);
  Result<void> close_directory();
  // The root's inode has its place before its size is known.
  static bool is_inline(const Directory& directory, bool root) {
    return !root && directory.used <= kMaxInline;
  }

  // More is a block of its own, lest the room that it needs after an inode is wasted before it.
  static constexpr uint32_t kMaxInline = 2048;

  std::vector<uint32_t> nids_;  // of each entry
  std::vector<Directory> directories_;
  std::vector<Shared> shared_;
  std::vector<Open> open_;
  std::string path_;
  uint64_t next_ = uint64_t{erofs::kRootNid} * erofs::kSlot;  // where the next inode may begin
  uint64_t directory_blocks_ = 0;
  uint64_t inodes_ = 0;
  uint32_t blocks_ = 0;
};

class ErofsWriter {
 public:
  // `layout` is finished and outlives the writer.
  ErofsWriter(const ErofsLayout& layout, ErofsSink sink);
  // The same entries again. kInternal: they are not; or the sink's error.
  Result<void> add(const Entry& entry);
  Result<void> finish();

 private:
  struct Open {  // a directory above the entry at hand
    size_t path;
    const ErofsLayout::Directory* told;
    uint32_t nid, parent_nid;
    std::string inode;    // empty: written already
    uint32_t blocks = 0;  // written
    erofs::DirectorySize size;
    erofs::Dots dots;
    erofs::DirectoryBlock block;
  };

  Result<void> put_entry(const Entry& entry, uint32_t nid);
  Result<void> open_directory(const Entry& entry, uint32_t nid);
  Result<void> add_name(std::string_view name, uint32_t nid, Type type);
  Result<void> add_dirent(Open& directory, std::string_view name, uint32_t nid, Type type);
  Result<void> close_directory();
  Result<void> put(uint32_t nid, std::string_view bytes);
  Result<void> flush();

  const ErofsLayout& layout_;
  ErofsSink sink_;
  std::vector<Open> open_;
  std::string path_;
  std::string scratch_;  // an inode being made
  std::string buffer_;   // what comes next in the inodes' area
  uint64_t buffer_at_;
  uint32_t entries_ = 0, directories_ = 0, shared_ = 0;
};

// Both passes: `open` gives the entries from the first on, twice. Returns the image's size.
Result<uint64_t> write_erofs(const std::function<Result<Entries>()>& open, const ErofsSink& sink);

}  // namespace wherry::tree
