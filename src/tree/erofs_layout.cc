#include <algorithm>

#include "tree/erofs_writer.h"

namespace wherry::tree {

namespace {

using erofs::kBlock;
using erofs::kSlot;

Error not_a_tree() {
  return Error(ErrorKind::kInternal, "cannot make an image: the entries are not those of a tree");
}

Error too_large() {
  return Error(ErrorKind::kResourceExhausted,
               "cannot make an image: the tree has too many entries for one");
}

}  // namespace

// Where an inode of `size` bytes goes, of which the last `end` must be in one block.
Result<uint32_t> ErofsLayout::place(uint64_t size, uint64_t end) {
  uint64_t at = next_;
  const uint64_t offset = (at + size - end) % kBlock;
  if (offset + end > kBlock) at += (kBlock - offset + kSlot - 1) / kSlot * kSlot;
  next_ = (at + size + kSlot - 1) / kSlot * kSlot;
  if (at / kSlot > UINT32_MAX) return too_large();
  ++inodes_;
  return static_cast<uint32_t>(at / kSlot);
}

Result<void> ErofsLayout::add(const Entry& entry) {
  const std::string_view path = entry.path;
  if (nids_.size() >= UINT32_MAX) return too_large();
  while (!open_.empty() && !is_below(path, std::string_view(path_).substr(0, open_.back().path)))
    TRY_VOID(close_directory());
  if (open_.empty() != (path.empty() && nids_.empty())) return not_a_tree();
  if (!open_.empty()) {
    Open& parent = open_.back();
    const std::string_view name = path.substr(parent.path == 0 ? 0 : parent.path + 1);
    if (name.find('/') != name.npos) return not_a_tree();
    parent.dots.before(name,
                       [&parent](std::string_view dot, bool) { parent.size.add(dot.size()); });
    parent.size.add(name.size());
    if (entry.type == Type::kDirectory) ++directories_[parent.directory].links;
  }
  path_.assign(path);
  if (entry.type != Type::kDirectory) {
    TRY(const uint32_t nid, place_entry(entry));
    nids_.push_back(nid);
    return {};
  }
  open_.push_back({.path = path.size(),
                   .entry = static_cast<uint32_t>(nids_.size()),
                   .directory = static_cast<uint32_t>(directories_.size()),
                   .inode_size = erofs::inode_size(entry)});
  directories_.emplace_back();
  nids_.push_back(0);
  if (path.empty()) {
    TRY(nids_[0], place(open_.back().inode_size, 0));
  }
  return {};
}

Result<uint32_t> ErofsLayout::place_entry(const Entry& entry) {
  if (entry.inode > 0 && entry.inode <= shared_.size()) {
    ++shared_[entry.inode - 1].names;
    return shared_[entry.inode - 1].nid;
  }
  TRY(const uint32_t nid, place(erofs::inode_size(entry), entry.target.size()));
  if (entry.inode > shared_.size() + 1) return not_a_tree();
  if (entry.inode > 0) shared_.push_back({nid, 1});
  return nid;
}

Result<void> ErofsLayout::close_directory() {
  Open open = open_.back();
  open_.pop_back();
  const bool root = open_.empty();
  open.dots.rest([&open](std::string_view dot, bool) { open.size.add(dot.size()); });
  Directory& directory = directories_[open.directory];
  directory.full_blocks = open.size.full_blocks();
  directory.used = static_cast<uint32_t>(open.size.used());
  const bool with_end = is_inline(directory, root);
  const uint32_t end = with_end ? directory.used : 0;
  if (!root) {
    TRY(nids_[open.entry], place(open.inode_size + end, end));
  }
  if (directory_blocks_ > UINT32_MAX) return too_large();
  directory.first_block = static_cast<uint32_t>(directory_blocks_);
  directory_blocks_ += directory.full_blocks + (with_end ? 0 : 1);
  return {};
}

Result<void> ErofsLayout::finish() {
  if (nids_.empty()) return not_a_tree();
  while (!open_.empty()) TRY_VOID(close_directory());
  const uint64_t first = (next_ + kBlock - 1) / kBlock;
  if (first + directory_blocks_ > UINT32_MAX) return too_large();
  blocks_ = static_cast<uint32_t>(first + directory_blocks_);
  for (Directory& directory : directories_) directory.first_block += static_cast<uint32_t>(first);
  return {};
}

}  // namespace wherry::tree
